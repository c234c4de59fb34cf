"""The distillation losses, by name, and what a user needs to add one."""

from transkd.distillation import csf, ea, gl_mixer, pea
from transkd.distillation.base import DistillationLoss
from transkd.distillation.registry import available_losses, create_loss, register_loss
from transkd.distillation.release import Release, load_release
from transkd.distillation.stages import pair_stages, resample_to

__all__ = [
    "DistillationLoss",
    "Release",
    "available_losses",
    "create_loss",
    "csf",
    "ea",
    "gl_mixer",
    "load_release",
    "pair_stages",
    "pea",
    "register_loss",
    "resample_to",
]
