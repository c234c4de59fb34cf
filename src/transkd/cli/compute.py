"""Devices and precisions by name, for the commands that run segmenters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ConfigError
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel


def find_device(name: str) -> torch.device:
    """Return a device by name; "auto" is a GPU where there is one.

    Raises:
        ConfigError: it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name} is not there ({str(error).splitlines()[0]}); use device=cpu") from error


def logits_function(
    model: Segmenter | ExportedModel, device: torch.device, precision: str
) -> Callable[[Tensor], Tensor]:
    """Return what gives a model's logits, float32, of images that are on the device.

    Args:
        model: a segmenter, which is moved to the device, or an exported file, which stays where it runs.
        device: where to compute.
        precision: "fp32", or "bf16" by autocast.

    Raises:
        ConfigError: a precision for an exported file, which has its own.
    """
    if not isinstance(model, Segmenter):
        if precision != "fp32":
            raise ConfigError(f"precision={precision}: an exported file has its own; leave precision out")
        return model
    segmenter = model.to(device).eval()

    def logits(images: Tensor) -> Tensor:
        casting: AbstractContextManager[Any] = nullcontext()
        if precision == "bf16":
            casting = torch.autocast(device.type, torch.bfloat16)
        with casting:
            result: Tensor = segmenter(images)
        return result.float()

    return logits
