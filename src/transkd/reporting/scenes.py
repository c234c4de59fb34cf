"""Example scenes: the panels of the pictures that training saved, cut out, side by side for all methods."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from transkd.evaluation.pictures import LEGEND_MARGIN, cut_scene
from transkd.reporting.rows import Row
from transkd.runs.finished import Run

PREDICTIONS = "predictions"


class Panel(NamedTuple):
    """A picture of a scene: its title, media type and file's content, and its (width, height) in pixels."""

    title: str
    kind: str
    content: bytes
    size: tuple[int, int]


class Scene(NamedTuple):
    """One validation image, its label, and what each method predicts; with the legend of the colours."""

    name: str
    panels: tuple[Panel, ...]
    legend: Panel


def example_scenes(rows: Sequence[Row], count: int) -> list[Scene]:
    """Return at most ``count`` scenes that most methods have a picture of, by the lowest seed that has one."""
    having: Counter[str] = Counter()
    for row in rows:
        having.update({path.name for run in row.method.runs for path in (run.folder / PREDICTIONS).glob("*.png")})
    names = sorted(having, key=lambda name: (-having[name], name))[:count]
    return [scene for name in sorted(names) if (scene := example_scene(name, rows)) is not None]


def example_scene(name: str, rows: Sequence[Row]) -> Scene | None:
    """Return the scene of a picture's file name, None where no run has one that can be cut."""
    panels: dict[str, Panel] = {}
    legends: list[Image.Image] = []
    for row in rows:
        cut = next((cut for run in row.method.runs if (cut := cut_picture(run, name))), None)
        if cut:
            image, label, *_, prediction, legend = cut
            for title, picture in (("image", image), ("label", label), (row.method.title, prediction)):
                panels.setdefault(title, encode(title, picture))
            used = ImageOps.invert(legend).getbbox() or (0, 0, 0, 0)
            legends.append(legend.crop((0, 0, used[2] + LEGEND_MARGIN, legend.height)))
    if not panels:
        return None
    legend = max(legends, key=lambda legend: legend.width * legend.height)  # the one with the most classes
    return Scene(Path(name).stem, tuple(panels.values()), encode("legend", legend))


def cut_picture(run: Run, name: str) -> list[Image.Image] | None:
    """Return the panels of a run's picture: image, label, its teacher's map if it has one, prediction, and the legend.

    None where there is no such picture, or it is not laid out as training lays it out.
    """
    try:
        with Image.open(run.folder / PREDICTIONS / name) as file:
            picture = file.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    size = run.results.image_size
    return None if size is None else cut_scene(picture, 3 if run.has_labels_only else 4, (size[0], size[1]))


def encode(title: str, picture: Image.Image) -> Panel:
    """Return a panel: photographs as JPEG, maps and legends as PNG with a palette."""
    buffer = io.BytesIO()
    if title == "image":
        picture.save(buffer, "JPEG", quality=88)
    else:
        picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return Panel(title, "image/jpeg" if title == "image" else "image/png", buffer.getvalue(), picture.size)
