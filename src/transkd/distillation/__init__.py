"""The distillation losses, by name, and what a user needs to add one."""

from transkd.distillation import (
    attention_transfer,
    cirkd,
    csf,
    cwd,
    dist,
    ea,
    fitnet,
    gl_mixer,
    ifvd,
    kd,
    knowledge_review,
    mgd,
    skd,
)
from transkd.distillation import embedding as pea
from transkd.distillation.base import DistillationLoss, pair_stages, resample_to
from transkd.distillation.registry import available_losses, check_options, create_loss, register_loss
from transkd.distillation.release import Release, load_release

__all__ = [
    "DistillationLoss",
    "Release",
    "attention_transfer",
    "available_losses",
    "check_options",
    "cirkd",
    "create_loss",
    "csf",
    "cwd",
    "dist",
    "ea",
    "fitnet",
    "gl_mixer",
    "ifvd",
    "kd",
    "knowledge_review",
    "load_release",
    "mgd",
    "pair_stages",
    "pea",
    "register_loss",
    "resample_to",
    "skd",
]
