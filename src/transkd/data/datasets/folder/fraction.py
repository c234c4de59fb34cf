"""A split drawn from the files' names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from transkd.errors import DataError

DRAWN_SPLITS = ("train", "val")


def draw_split(keys: Sequence[str], split: str, fraction: float, seed: int, where: str) -> list[str]:
    """Share out scenes between training and validation.

    It depends on the names and the seed alone: it is the same on every machine, and a scene that is added later
    moves few others.

    Args:
        keys: the scenes' names.
        split: "train" or "val".
        fraction: the share of the scenes that validates; at least one scene does, and at least one trains.
        seed: draws another split.
        where: what to name in errors.

    Returns:
        The split's names, sorted.

    Raises:
        DataError: if there are fewer than two scenes.
    """
    if len(keys) < 2:
        raise DataError(
            f"{where}: {len(keys)} scenes cannot be shared out between training and validation; give 2 or more."
        )
    ranked = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}/{key}".encode()).digest())
    count = min(max(1, round(fraction * len(ranked))), len(ranked) - 1)
    return sorted(ranked[:count] if split == "val" else ranked[count:])
