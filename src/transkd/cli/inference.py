"""How the commands that run a segmenter do it: the options that they share, windows, device and precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from transkd.errors import ConfigError
from transkd.options import REQUIRED, SMALLEST_SIDE, Positive, Problem, Section, Side, option, shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from transkd.evaluation.inference import Inference
    from transkd.models import Segmenter
    from transkd.models.exported import ExportedModel

Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class InferenceConfig(Section):
    """What every command that runs a segmenter takes."""

    model: str = option(
        REQUIRED,
        "a run's folder or its student/, a hub id, a published checkpoint, an exported .onnx or .pt2 file",
        heading="Input",
    )
    inference: Literal["whole", "slide"] = option(
        "whole",
        "whole: the image at once; slide: overlapping windows, whose logits are averaged",
        heading="Inference",
    )
    crop: tuple[Side, Side] | None = option(
        None,
        "[height, width] of the windows; null: squares of the input's short side",
        give=f"[height, width] in pixels, {SMALLEST_SIDE} or more each ([512, 512])",
    )
    stride: tuple[Positive, Positive] | None = option(
        None,
        "[down, right] from one window to the next; null: two thirds of the window",
        give="[down, right] in pixels ([341, 341])",
    )
    scales: list[Scale] = option(
        [1.0],
        "factors of the input's size; the predictions at all of them are averaged",
        give="factors ([0.75, 1, 1.25])",
        min_length=1,
    )
    flip: bool = option(False, "also predict the mirrored image, and average")
    device: str = option(
        "auto", "auto (a GPU where there is one), cpu, cuda, or another device of torch", heading="Compute"
    )
    precision: Literal["fp32", "bf16"] = option("fp32", "fp32, or bf16 by autocast")
    imports: list[str] = option(
        [], "modules to import first, also from the current folder: custom backbones, heads and datasets"
    )
    overwrite: bool = option(False, "replace what exists", heading="Output")

    def window(self, size: int | Sequence[int] | str | None) -> tuple[int, int] | None:
        """Return the windows' size: ``crop``, or a square of the short side that images are resized to.

        None without windows, or where images keep sizes of their own and no ``crop`` is given.
        """
        if self.inference == "whole" or self.crop is not None:
            return self.crop
        if size is None or isinstance(size, str):
            return None
        side = size if isinstance(size, int) else min(size)
        return side, side

    def views(self, size: int | Sequence[int] | str | None) -> Inference:
        """Return windows, scales and flip for images that are resized to ``size``."""
        from transkd.evaluation.inference import Inference

        return Inference(self.window(size), self.stride, tuple(self.scales), self.flip)

    def window_problems(self, size: int | Sequence[int] | str | None) -> Iterator[Problem]:
        """Yield that windows are missing, not in use, or leave gaps."""
        if self.inference == "whole":
            if self.crop is not None or self.stride is not None:
                yield Problem("crop", "windows are for inference=slide; leave out crop and stride, or add it")
            return
        crop = self.window(size)
        if crop is None and size == "native":
            yield Problem("crop", "inference=slide on images of their own sizes needs the windows': crop=[512,512]")
        elif crop and self.stride and any(step > side for side, step in zip(crop, self.stride, strict=True)):
            steps, sides = shown(list(self.stride)), shown(list(crop))
            yield Problem("stride", f"steps of {steps} leave gaps between windows of {sides}")


def find_device(name: str) -> torch.device:
    """Return a device by name; "auto" is a GPU where there is one.

    Raises:
        ConfigError: it is not there.
    """
    import torch

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
    """Return what gives the logits, float32, of images on the device; an exported file stays where it runs.

    Raises:
        ConfigError: a precision for an exported file, which has its own.
    """
    import torch

    from transkd.models import Segmenter

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
