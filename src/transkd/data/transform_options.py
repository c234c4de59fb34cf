"""The options of transforms, as people write them, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeGuard

from transkd.errors import ConfigError

Size = int | tuple[int, int] | None
"""A short side in pixels (the aspect ratio stays), an exact (height, width), or None for "as it is"."""

LabelSize = Literal["image", "own"]
"""Whether labels are resized to the new size of their image, or keep their own."""


def parse_size(value: object, key: str = "size") -> Size:
    """Read a size from a config.

    Args:
        value: an int (short side), a pair [height, width], or "native" or None for images as they are.
        key: what to call it in errors.

    Returns:
        The size.

    Raises:
        ConfigError: if it is none of these.
    """
    if value is None or value == "native":
        return None
    if _is_whole(value) and value > 0:
        return value
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        height, width = value
        if _is_whole(height) and _is_whole(width) and height > 0 and width > 0:
            return height, width
    raise ConfigError(
        f"{key}={value!r} is no size: give a short side in pixels (512), [height, width] ([512, 1024]), "
        "or 'native' for images as they are."
    )


def check_fraction(name: str, value: object, most: float = 1.0) -> None:
    """Raise a ConfigError unless the value is a number from 0 to ``most``."""
    if not _is_number(value) or not 0 <= value <= most:
        raise ConfigError(f"{name}={value!r}: give a number from 0 to {most:g}.")


def check_pixels(name: str, value: object) -> None:
    """Raise a ConfigError unless the value is a whole number, 0 or more."""
    if not _is_whole(value) or value < 0:
        raise ConfigError(f"{name}={value!r}: give whole pixels, 0 or more.")


def check_range(name: str, value: object) -> None:
    """Raise a ConfigError unless the value is a range [least, most] of factors above 0."""
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        least, most = value
        if _is_number(least) and _is_number(most) and 0 < least <= most:
            return
    raise ConfigError(f"{name}={value!r}: give a range [least, most] of factors above 0.")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
