"""Training: LightningModules, schedules, callbacks, checkpoints, and the run that ties them together."""

from typing import TYPE_CHECKING

from transkd.lazy import lazy_names

if TYPE_CHECKING:
    from transkd.training.distill_module import DistillModule
    from transkd.training.schedules import LinearEpochDecay, PolyWarmUp
    from transkd.training.segmentation_module import SegmentationModule

__all__ = ["DistillModule", "LinearEpochDecay", "PolyWarmUp", "SegmentationModule"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DistillModule": "transkd.training.distill_module",
        "LinearEpochDecay": "transkd.training.schedules",
        "PolyWarmUp": "transkd.training.schedules",
        "SegmentationModule": "transkd.training.segmentation_module",
    },
)
