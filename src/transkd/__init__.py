"""Distil large segmentation transformers into small ones."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transkd.data import SceneDataModule
    from transkd.distillation import DistillationLoss, available_losses, create_loss, register_loss
    from transkd.errors import TransKDError
    from transkd.models import Segmenter, Taps, available_backbones, create_segmenter, load_segmenter
    from transkd.training import DistillModule, SegmentationModule

__version__ = "0.1.0"

_HOMES = {
    "DistillModule": "transkd.training",
    "DistillationLoss": "transkd.distillation",
    "SceneDataModule": "transkd.data",
    "SegmentationModule": "transkd.training",
    "Segmenter": "transkd.models",
    "Taps": "transkd.models",
    "TransKDError": "transkd.errors",
    "available_backbones": "transkd.models",
    "available_losses": "transkd.distillation",
    "create_loss": "transkd.distillation",
    "create_segmenter": "transkd.models",
    "load_segmenter": "transkd.models",
    "register_loss": "transkd.distillation",
}

__all__ = [
    "DistillModule",
    "DistillationLoss",
    "SceneDataModule",
    "SegmentationModule",
    "Segmenter",
    "Taps",
    "TransKDError",
    "__version__",
    "available_backbones",
    "available_losses",
    "create_loss",
    "create_segmenter",
    "load_segmenter",
    "register_loss",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``import transkd`` is instant."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'transkd' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
