"""The distillation losses, by name, and what a user needs to add one. Each registers itself when it is imported."""

from importlib import import_module
from pkgutil import iter_modules

from transkd.distillation.base import DistillationLoss, pair_stages, resample_to
from transkd.distillation.registry import available_losses, check_options, create_loss, register_loss
from transkd.distillation.release import Release, load_release

__all__ = [
    "DistillationLoss",
    "Release",
    "available_losses",
    "check_options",
    "create_loss",
    "load_release",
    "pair_stages",
    "register_loss",
    "resample_to",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
