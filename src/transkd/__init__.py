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
        "DistillModule": "transkd.training",
        "DistillationLoss": "transkd.distillation",
        "ExportedModel": "transkd.models.exported",
        "History": "transkd.training",
        "Release": "transkd.distillation",
        "Report": "transkd.reporting",
        "SceneDataModule": "transkd.data",
        "SegmentationModule": "transkd.training",
        "Segmenter": "transkd.models",
        "Taps": "transkd.models",
        "TransKDError": "transkd.errors",
        "available_backbones": "transkd.models",
        "available_losses": "transkd.distillation",
        "create_loss": "transkd.distillation",
        "create_segmenter": "transkd.models",
        "draw_predictions": "transkd.training",
        "export_segmenter": "transkd.export",
        "fit": "transkd.training",
        "load_model": "transkd.models.exported",
        "load_release": "transkd.distillation",
        "load_segmenter": "transkd.models",
        "preflight": "transkd.training.preflight",
        "register_backbone": "transkd.models.backbones",
        "register_dataset": "transkd.data.datasets",
        "register_head": "transkd.models.heads",
        "register_loss": "transkd.distillation",
        "report": "transkd.reporting",
    },
)
