"""The checkpoints of our training runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

CHECKPOINT_CONFIG = "segmenter"
"""The key of a training checkpoint that holds the segmenter's config."""

_SEGMENTER = "segmenter."
_AVERAGE = "StudentEMA"


def is_training_checkpoint(content: Any) -> bool:
    """Return whether what a file holds is a checkpoint of a training run of ours."""
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    return isinstance(state, Mapping) and any(str(name).startswith(f"{_SEGMENTER}backbone.") for name in state)


def checkpoint_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the segmenter's state dict from a training checkpoint, the averaged one where the run averaged.

    Args:
        checkpoint: all that a ``.ckpt`` file of a run holds.
    """
    prefix, state = _SEGMENTER, checkpoint["state_dict"]
    for name, callback in checkpoint.get("callbacks", {}).items():
        if name.startswith(_AVERAGE) and callback.get("average"):
            prefix, state = "module.", callback["average"]
    return {
        name.removeprefix(prefix).replace("_orig_mod.", ""): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
