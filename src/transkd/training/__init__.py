"""Training: LightningModules, schedules, callbacks, checkpoints, and the run that ties them together."""

from typing import TYPE_CHECKING

from transkd.lazy import lazy_names

if TYPE_CHECKING:
    from transkd.training.distill_module import DistillModule
    from transkd.training.fitting import History, draw_predictions, fit
    from transkd.training.schedules import LinearEpochDecay, PolyWarmUp
    from transkd.training.segmentation_module import SegmentationModule

__all__ = [
    "DistillModule",
    "History",
    "LinearEpochDecay",
    "PolyWarmUp",
    "SegmentationModule",
    "draw_predictions",
    "fit",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "distill_module": ["DistillModule"],
        "fitting": ["History", "draw_predictions", "fit"],
        "schedules": ["LinearEpochDecay", "PolyWarmUp"],
        "segmentation_module": ["SegmentationModule"],
    },
)
