"""Resizing and augmentation of an image together with its label.

The only module that knows albumentations and OpenCV.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

from transkd.data.classes import IGNORE_INDEX
from transkd.errors import ConfigError, did_you_mean
from transkd.options import Count, PositiveFloat, Problem, Side, signature_problems

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks a package registry for the newest version

import albumentations as A  # noqa: N812
import cv2

MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean in RGB, 0 to 255: what padding is filled with, so that it is near zero once normalised."""

Size = int | tuple[int, int] | None
"""A short side in pixels (the aspect ratio stays), an exact (height, width), or None for "as it is"."""

LabelSize = Literal["image", "own"]
"""Whether labels are resized to the new size of their image, or keep their own."""


def _ascending(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError("the least is above the most")
    return values


Probability = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[
    tuple[PositiveFloat, PositiveFloat],
    AfterValidator(_ascending),
    Field(title="a range [least, most] of factors above 0"),
]
Crop = Annotated[
    Side | tuple[Side, Side] | None, Field(title="a side in pixels (512) or [height, width] ([512, 1024]), 32 or more")
]


def parse_size(value: object, key: str = "size") -> Size:
    """Read a size as people write it: a short side, [height, width], or "native" or None for images as they are.

    Raises:
        ConfigError: if it is none of these; names the key.
    """
    if value is None or value == "native":
        return None
    sides: Sequence[Any] = value if isinstance(value, list | tuple) and len(value) == 2 else [value]
    if all(type(side) is int and side > 0 for side in sides):
        return (sides[0], sides[1]) if len(sides) == 2 else sides[0]
    raise ConfigError(
        f"{key}={value!r} is no size: give a short side in pixels (512), [height, width] ([512, 1024]), "
        "or 'native' for images as they are."
    )


def single_threaded_opencv() -> None:
    """Keep OpenCV to one thread in this process: loader workers are the parallelism, and its pool hurts."""
    cv2.setNumThreads(0)


single_threaded_opencv()


class Transform:
    """A chain of albumentations transforms that takes its seed as an argument: no call depends on another.

    Args:
        steps: the transforms, in order.
        transform_label: False leaves labels as they are.
    """

    def __init__(self, steps: Sequence[Any], *, transform_label: bool = True) -> None:
        self._compose = A.Compose(list(steps))
        self._transform_label = transform_label

    def __call__(
        self, image: npt.NDArray[np.uint8], label: npt.NDArray[np.uint8], seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Transform an image (H, W, 3) and its label (H, W) in register; all randomness derives from the seed."""
        # One stream for all steps: set_random_seed starts each of them with the same numbers, which ties the
        # flip to the shift and the scale to the crop.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        if not self._transform_label:
            return self._compose(image=image)["image"], label
        done = self._compose(image=image, mask=label)
        return done["image"], done["mask"]


def evaluation(size: Size, *, label_size: LabelSize = "image") -> Transform:
    """Make the transform for scoring: images resized, nothing random.

    Args:
        size: what images are resized to.
        label_size: "image" resizes labels (nearest) to the image's new size, "own" leaves them as they are.
    """
    if label_size not in ("image", "own"):
        raise ConfigError(f"label_size={label_size!r}: {did_you_mean(str(label_size), ('image', 'own'))}")
    return Transform(_resize(size), transform_label=label_size == "image")


def none(size: Size) -> Transform:
    """Make the recipe without augmentation: image and label resized."""
    return evaluation(size)


def paper(size: Size, *, flip: Probability = 0.5, shift: Count = 2) -> Transform:
    """Make the TransKD paper's recipe: resize, flip, shift by a few pixels.

    The release shifts labels by as many pixels of the smaller label map, out of register with the image; this
    recipe shifts both alike.

    Args:
        size: what images and labels are resized to (the paper: short side 512).
        flip: the probability of a horizontal flip.
        shift: the largest shift, in pixels of the resized image, to either side; drawn for x and y apart.
    """
    pixels = (-shift, shift)
    shifts = A.Affine(
        translate_px={"x": pixels, "y": pixels},
        interpolation=cv2.INTER_NEAREST,
        mask_interpolation=cv2.INTER_NEAREST,
        border_mode=cv2.BORDER_CONSTANT,
        fill=0,
        fill_mask=IGNORE_INDEX,
        p=1.0,
    )
    return Transform([*_resize(size), *_flip(flip), *([shifts] if shift else [])])


def standard(
    size: Size,
    *,
    crop: Crop = None,
    scale: Range = (0.5, 2.0),
    flip: Probability = 0.5,
    photometric: Probability = 0.5,
    brightness: Probability = 0.125,
    contrast: Probability = 0.5,
    saturation: Probability = 0.5,
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.05,
) -> Transform:
    """Make the field's standard recipe: random scale, crop, flip, photometric distortion.

    Args:
        size: the short side at scale 1; of (height, width), the shorter one.
        crop: the crop's side or (height, width); by default the size. Smaller images are padded to it, with
            the mean colour and with ignored labels.
        scale: the range of the random factor on the short side; the aspect ratio stays.
        flip: the probability of a horizontal flip.
        photometric: the probability of the colour changes that follow.
        brightness: the largest relative change, 0 to 1.
        contrast: the largest relative change, 0 to 1.
        saturation: the largest relative change, 0 to 1.
        hue: the largest change, in turns of the colour circle, 0 to 0.5.

    Raises:
        ConfigError: if ``size`` is None.
    """
    if size is None:
        raise ConfigError("size='native': the standard recipe scales images, so it needs a size in pixels.")
    side = size if isinstance(size, int) else min(size)
    window = size if crop is None else crop
    height, width = (window, window) if isinstance(window, int) else window
    least, most = (max(1, round(side * factor)) for factor in scale)
    padding = {"border_mode": cv2.BORDER_CONSTANT, "fill": MEAN_COLOUR, "fill_mask": IGNORE_INDEX}
    steps = [
        A.SmallestMaxSize(max_size=list(range(least, most + 1)), **_INTERPOLATION),
        A.PadIfNeeded(height, width, position="random", **padding),
        A.RandomCrop(height, width),
        *_flip(flip),
    ]
    if photometric and any((brightness, contrast, saturation, hue)):
        centred = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        ranges = {name: (1 - change, 1 + change) for name, change in centred.items()}
        steps.append(A.ColorJitter(**ranges, hue=(0 - hue, 0 + hue), p=photometric))
    return Transform(steps)


RECIPES: Mapping[str, Callable[..., Transform]] = {"paper": paper, "standard": standard, "none": none}


def build_transform(recipe: str, size: object, **options: Any) -> Transform:
    """Make the augmentation that a config names.

    Args:
        recipe: "paper", "standard" or "none".
        size: see :func:`parse_size`.
        **options: the recipe's keyword arguments.

    Raises:
        ConfigError: if the recipe or an option does not exist or has no meaningful value.
    """
    if problems := recipe_problems(recipe, options):
        raise ConfigError(f"augmentation '{recipe}': {'; '.join(map(str, problems))}")
    return RECIPES[recipe](parse_size(size), **options)


def recipe_problems(recipe: str, options: Mapping[str, Any]) -> list[Problem]:
    """List that there is no such recipe, or its options that are unknown or have a wrong value."""
    if recipe not in RECIPES:
        return [Problem("recipe", f"there is no such choice; {did_you_mean(recipe, RECIPES)}")]
    return signature_problems(RECIPES[recipe], options, "options", given=("size",))


# "Exact" nearest samples at pixel centres, as the image's interpolation does; plain nearest is off by half.
_INTERPOLATION: Mapping[str, Any] = {
    "interpolation": cv2.INTER_LINEAR,
    "mask_interpolation": cv2.INTER_NEAREST_EXACT,
    "area_for_downscale": "image",
}


def _resize(size: Size) -> list[Any]:
    if size is None:
        return []
    if isinstance(size, int):
        return [A.SmallestMaxSize(max_size=size, **_INTERPOLATION)]
    return [A.Resize(*size, **_INTERPOLATION)]


def _flip(probability: float) -> list[Any]:
    return [A.HorizontalFlip(p=probability)] if probability else []
