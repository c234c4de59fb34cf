"""Convolutions with batch norm in adapters: how they are made, and what batch norm needs to train."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from transkd.errors import ConfigError
from transkd.models.taps import Taps


def normed_convolution(in_channels: int, channels: int, kernel: int) -> nn.Sequential:
    """Return a convolution without bias that keeps a map's size, and its batch norm.

    Args:
        in_channels: channels of the map that goes in.
        channels: channels of the map that comes out.
        kernel: size of the convolution's kernel, odd.
    """
    convolution = nn.Conv2d(in_channels, channels, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


def start_from_kaiming_uniform(*layers: nn.Sequential) -> None:
    """Start the convolutions of :func:`normed_convolution` from Kaiming uniform of slope 1, in the order given."""
    for layer in layers:
        nn.init.kaiming_uniform_(cast(nn.Conv2d, layer[0]).weight, a=1)


def check_batch_norm(loss: str, taps: Taps, maps: Tensor) -> None:
    """Check that a batch norm over maps has more than one value a channel: it cannot train on one.

    Args:
        loss: the registered name of the loss that owns the batch norm.
        taps: the student's taps.
        maps: (B, C, h, w), of the size that the batch norm sees.

    Raises:
        ConfigError: if the maps are one position of one image.
    """
    if maps[:, 0].numel() == 1:
        raise ConfigError(
            f"{loss}: one image of {tuple(taps.images.shape[-2:])} pixels leaves one value a channel, too few for "
            "batch norm; train on larger images or batches"
        )
