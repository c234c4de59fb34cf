"""Names and colours of a segmenter's classes, where it has none of its own."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from transkd.evaluation.pictures import Pixels

Colour = tuple[int, int, int]
GOLDEN_RATIO = (5**0.5 - 1) / 2
_SHADES = ((0.85, 0.95), (0.55, 0.75), (0.95, 0.60), (0.40, 0.95))


@dataclass(frozen=True)
class Classes:
    """The classes that a segmenter predicts.

    Attributes:
        names: one a class.
        colours: one a class.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    @cached_property
    def entries(self) -> tuple[tuple[str, Colour], ...]:
        """Name and colour of each class."""
        return tuple(zip(self.names, self.colours, strict=True))

    @cached_property
    def table(self) -> Pixels:
        """The colours as an array (K, 3)."""
        return np.array(self.colours, np.uint8)


def class_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Return a segmenter's class names, "class 0" and so on where it has none."""
    return tuple(names) if names is not None else tuple(f"class {index}" for index in range(count))


def distinct_colours(count: int) -> tuple[Colour, ...]:
    """Return colours that are told apart, the same ones each time: hues a golden section of the circle apart.

    Any number of first ones are spread evenly over the hues; saturation and value change from one to the next.
    """
    colours: dict[Colour, None] = {}
    index = 0
    while len(colours) < count:
        saturation, value = _SHADES[index % len(_SHADES)]
        red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN_RATIO % 1, saturation, value)
        colours[round(255 * red), round(255 * green), round(255 * blue)] = None
        index += 1
    return tuple(colours)


def colours_by_name(names: Sequence[str], legends: Sequence[Mapping[str, Colour]]) -> tuple[Colour, ...] | None:
    """Colour classes as the legend that knows most of their names does.

    Args:
        names: one a class.
        legends: name -> colour, one mapping a dataset. Letter case, spaces, hyphens and underscores do not count.

    Returns:
        One colour a class, distinct ones for those that the legend lacks; None where no legend knows half of them.
    """
    wanted = [plain(name) for name in names]
    plain_legends = [{plain(name): colour for name, colour in legend.items()} for legend in legends]
    known = max(plain_legends, key=lambda legend: sum(name in legend for name in wanted), default={})
    if 2 * sum(name in known for name in wanted) < len(wanted):
        return None
    taken = set(known.values())
    spare = iter([colour for colour in distinct_colours(len(taken) + len(wanted)) if colour not in taken])
    return tuple(known[name] if name in known else next(spare) for name in wanted)


def plain(name: str) -> str:
    """Return a class name without what people write differently."""
    return "".join(sign for sign in name.casefold() if sign not in " -_")
