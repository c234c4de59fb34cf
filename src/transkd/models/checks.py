"""What a segmenter accepts: the values of its config, and images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ConfigError
from transkd.options import SMALLEST_SIDE


def check_images(images: Tensor) -> None:
    """Raise a ``ValueError`` unless ``images`` are uint8 or floating point (B, 3, H, W) of at least 32 x 32 pixels."""
    if not isinstance(images, Tensor):
        raise ValueError(
            f"images must be a torch tensor (B, 3, H, W), not {type(images).__name__}; an array (H, W, 3) of numpy "
            "becomes one by torch.from_numpy(array).permute(2, 0, 1)[None]"
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(f"images must be uint8, or floating point in [0, 1], not {images.dtype}")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must have the shape (B, 3, H, W), not {tuple(images.shape)}")
    if min(images.shape[2:]) < SMALLEST_SIDE:
        height, width = images.shape[2:]
        raise ValueError(
            f"images of {height}x{width} pixels are too small: resize or pad them to at least "
            f"{SMALLEST_SIDE} pixels a side"
        )


def check_config(config: Mapping[str, Any]) -> None:
    """Raise a ``ConfigError`` unless the values of a segmenter's config fit together."""
    for key in ("num_classes", "head_width"):
        if not isinstance(config[key], int) or isinstance(config[key], bool) or config[key] < 1:
            raise ConfigError(f"{key} must be a whole number of at least 1, not {config[key]!r}")
    for key in ("drop_path_rate", "dropout"):
        if not 0 <= config[key] < 1:
            raise ConfigError(f"{key} must be at least 0 and less than 1, not {config[key]}")
    for key in ("mean", "std"):
        if len(config[key]) != 3 or not all(math.isfinite(value) for value in config[key]):
            raise ConfigError(f"{key} must have a number for each of red, green and blue, not {config[key]}")
    if min(config["std"]) <= 0:
        raise ConfigError(f"std must be positive, not {config['std']}")
    eps = config["norm_eps"]
    if eps is not None and not (isinstance(eps, float) and 0 < eps < 1):
        raise ConfigError(f"norm_eps must be a small positive number, such as 1e-6, or null, not {eps!r}")
    for key in ("class_names", "palette"):
        if config[key] is not None and len(config[key]) != config["num_classes"]:
            raise ConfigError(f"{key} has {len(config[key])} entries for num_classes={config['num_classes']}")
    if not all(isinstance(name, str) for name in config["class_names"] or ()):
        raise ConfigError(f"class_names must be text, not {config['class_names']}")
    for colour in config["palette"] or ():
        if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
            raise ConfigError(f"palette must have red, green and blue of 0 to 255 for each class, not {colour}")
