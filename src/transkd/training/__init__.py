"""Training: LightningModules, schedules, callbacks, checkpoints, and the run that ties them together."""

from transkd.training.distill_module import DistillModule
from transkd.training.schedules import LinearEpochDecay, PolyWarmUp
from transkd.training.segmentation_module import SegmentationModule

__all__ = ["DistillModule", "LinearEpochDecay", "PolyWarmUp", "SegmentationModule"]
