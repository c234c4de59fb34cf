"""Many scenes with their labels in one picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from transkd.data import ClassSet, Sample
from transkd.data.label_readers import LabelReader
from transkd.data.reading import read_image
from transkd.evaluation import scene_picture
from transkd.evaluation.legend import BACKGROUND

PANEL = 256
COLUMNS = 2
_LONGEST_TITLE = 34


def contact_sheet(scenes: Sequence[tuple[str, Sample, LabelReader]], classes: ClassSet) -> Image.Image:
    """Lay scenes out in rows, each as its image, its label and a legend.

    Args:
        scenes: (split, scene, reader of its label).
        classes: what the labels mean.

    Raises:
        DataError: if a file cannot be read.
    """
    cells = [_cell(split, sample, read, classes) for split, sample, read in scenes]
    rows = [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    width = max(sum(cell.width for cell in row) for row in rows)
    sheet = Image.new("RGB", (width, sum(max(cell.height for cell in row) for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        left = 0
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width
        top += max(cell.height for cell in row)
    return sheet


def _cell(split: str, sample: Sample, read_label: LabelReader, classes: ClassSet) -> Image.Image:
    name = sample.name if len(sample.name) <= _LONGEST_TITLE else f"…{sample.name[1 - _LONGEST_TITLE :]}"
    labels = {f"{split}: {name}": read_label(sample.label)}
    return scene_picture(read_image(sample.image), labels, classes.names, classes.palette, panel_width=PANEL)
