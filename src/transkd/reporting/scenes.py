"""Example scenes: the same validation images as each method predicts them, cut from the runs' own pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from transkd.evaluation.legend import BACKGROUND, MARGIN
from transkd.evaluation.pictures import TITLE_HEIGHT
from transkd.reporting.rows import Row
from transkd.reporting.runs import Run

PREDICTIONS = "predictions"
TITLE_HEIGHTS = TITLE_HEIGHT, 22
"""Of the pictures that training draws, and of those that it drew before."""
MEASURED_ON = "image", "label"
PHOTO = "image"
BLANK = 250
"""The darkest that a pixel of white paper is."""


@dataclass(frozen=True)
class Panel:
    """A picture of a scene: the bytes of a file, and what it shows."""

    title: str
    kind: str
    content: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """One validation image, its label, and what each method predicts; with the legend of the colours."""

    name: str
    panels: tuple[Panel, ...]
    legend: Panel | None


def example_scenes(rows: Sequence[Row], count: int) -> list[Scene]:
    """Return scenes that most methods have a picture of, each method by its lowest seed that has one.

    Args:
        rows: of one table.
        count: how many scenes at most.
    """
    having: dict[str, int] = {}
    for row in rows:
        for name in {path.name for run in row.method.runs for path in _pictures(run)}:
            having[name] = having.get(name, 0) + 1
    names = sorted(having, key=lambda name: (-having[name], name))[:count]
    return [scene for name in sorted(names) if (scene := _scene(name, rows)) is not None]


def _pictures(run: Run) -> list[Path]:
    return sorted((run.folder / PREDICTIONS).glob("*.png"))


def _scene(name: str, rows: Sequence[Row]) -> Scene | None:
    panels: dict[str, Panel] = {}
    legends: list[Image.Image] = []
    for row in rows:
        for run in row.method.runs:
            cut = _cut(run, name)
            if cut is None:
                continue
            maps, legend = cut
            for title, panel in (*zip(MEASURED_ON, maps, strict=False), (row.method.title, maps[-1])):
                panels.setdefault(title, _panel(title, panel, is_photo=title == PHOTO))
            legends.append(legend)
            break
    if not panels:
        return None
    legend = max(legends, key=_ink)
    used = Image.fromarray(np.asarray(legend).min(axis=2) < BLANK).getbbox()
    cropped = _panel("legend", legend.crop((0, 0, used[2] + MARGIN, legend.height)), is_photo=False) if used else None
    return Scene(Path(name).stem, tuple(panels.values()), cropped)


def _cut(run: Run, name: str) -> tuple[list[Image.Image], Image.Image] | None:
    """Return the panels of a run's picture, image and label first and its own prediction last, and the legend.

    None where there is no such picture, or it is not laid out as training lays it out.
    """
    try:
        with Image.open(run.folder / PREDICTIONS / name) as file:
            picture = file.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    count = 3 if run.has_labels_only else 4
    step, rest = divmod(picture.width - MARGIN, count)
    if rest or run.results.image_size is None:
        return None
    width = step - MARGIN
    height = max(1, round(width * run.results.image_size[0] / run.results.image_size[1]))
    lefts = [MARGIN + place * step for place in range(count)]
    for top in TITLE_HEIGHTS:
        bottom = top + height
        if width > 0 and bottom + MARGIN <= picture.height and _is_laid_out(picture, lefts, top, bottom):
            maps = [picture.crop((left, top, left + width, bottom)) for left in lefts]
            return maps, picture.crop((0, bottom + MARGIN, picture.width, picture.height))
    return None


def _is_laid_out(picture: Image.Image, lefts: Sequence[int], top: int, bottom: int) -> bool:
    """Return whether there is nothing but paper between the panels and below them."""
    gaps = [picture.crop((left - MARGIN, top, left, bottom)) for left in lefts]
    below = picture.crop((0, bottom, picture.width, bottom + MARGIN))
    above = picture.crop((0, top - 1, picture.width, top))
    return all(one.getcolors() == [(one.width * one.height, BACKGROUND)] for one in (*gaps, below, above))


def _ink(legend: Image.Image) -> int:
    """Return how much of a legend is not blank: the one with the most classes has the most."""
    return int((np.asarray(legend).min(axis=2) < BLANK).sum())


def _panel(title: str, picture: Image.Image, *, is_photo: bool) -> Panel:
    buffer = io.BytesIO()
    if is_photo:
        picture.save(buffer, "JPEG", quality=88)
    else:
        picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return Panel(title, "image/jpeg" if is_photo else "image/png", buffer.getvalue(), picture.size)
