"""Distil large segmentation transformers into small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transkd.lazy import lazy_names

if TYPE_CHECKING:
    from transkd.data import SceneDataModule
    from transkd.data.datasets import register_dataset
    from transkd.distillation import (
        DistillationLoss,
        Release,
        available_losses,
        create_loss,
        load_release,
        register_loss,
    )
    from transkd.errors import TransKDError
    from transkd.export import export_segmenter
    from transkd.models import Segmenter, Taps, available_backbones, create_segmenter, load_segmenter
    from transkd.models.backbones import register_backbone
    from transkd.models.exported import ExportedModel, load_model
    from transkd.models.heads import register_head
    from transkd.reporting import Report, report
    from transkd.training import DistillModule, History, SegmentationModule, draw_predictions, fit
    from transkd.training.preflight import preflight

__version__ = "0.1.0"

__all__ = [
    "DistillModule",
    "DistillationLoss",
    "ExportedModel",
    "History",
    "Release",
    "Report",
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
    "draw_predictions",
    "export_segmenter",
    "fit",
    "load_model",
    "load_release",
    "load_segmenter",
    "preflight",
    "register_backbone",
    "register_dataset",
    "register_head",
    "register_loss",
    "report",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "training": ["DistillModule", "History", "SegmentationModule", "draw_predictions", "fit"],
        "distillation": [
            "DistillationLoss",
            "Release",
            "available_losses",
            "create_loss",
            "load_release",
            "register_loss",
        ],
        "models.exported": ["ExportedModel", "load_model"],
        "reporting": ["Report", "report"],
        "data": ["SceneDataModule"],
        "models": ["Segmenter", "Taps", "available_backbones", "create_segmenter", "load_segmenter"],
        "errors": ["TransKDError"],
        "export": ["export_segmenter"],
        "training.preflight": ["preflight"],
        "models.backbones": ["register_backbone"],
        "data.datasets": ["register_dataset"],
        "models.heads": ["register_head"],
    },
)
