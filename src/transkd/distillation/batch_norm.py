"""What batch norm in an adapter needs to train."""

from __future__ import annotations

from torch import Tensor

from transkd.errors import ConfigError
from transkd.models.taps import Taps


def check_batch_norm(loss: str, taps: Taps, maps: Tensor) -> None:
    """Check that a batch norm over maps has more than one value a channel: it cannot train on one.

    Args:
        loss: the registered name of the loss that owns the batch norm.
        taps: the student's taps.
        maps: (B, C, h, w), those of the taps that the batch norm sees.

    Raises:
        ConfigError: if the maps are one position of one image.
    """
    if maps[:, 0].numel() == 1:
        raise ConfigError(
            f"{loss}: one image of {tuple(taps.images.shape[-2:])} pixels leaves one value a channel, too few for "
            "batch norm; train on larger images or batches"
        )
