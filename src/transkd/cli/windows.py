"""The windows that images are looked through, where a command says nothing of their size."""

from __future__ import annotations

from collections.abc import Sequence


def window(crop: Sequence[int] | None, size: int | Sequence[int] | str | None) -> tuple[int, int] | None:
    """Return the windows' size: what was asked for, or a square of the input's short side.

    Args:
        crop: height and width that were asked for.
        size: what pictures are resized to.

    Returns:
        None where pictures keep sizes of their own, and nothing was asked for.
    """
    if crop is not None:
        return crop[0], crop[1]
    if size is None or isinstance(size, str):
        return None
    side = size if isinstance(size, int) else min(size)
    return side, side
