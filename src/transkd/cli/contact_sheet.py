"""Many scenes with their labels in one picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from transkd.data import ClassSet, Sample
from transkd.data.labels import LabelReader
from transkd.data.reading import read_image
from transkd.evaluation.pictures import scene_sheet

PANEL = 256
COLUMNS = 2


def contact_sheet(scenes: Sequence[tuple[str, Sample, LabelReader]], classes: ClassSet) -> Image.Image:
    """Lay scenes out in rows, each as its image and its label, above one legend.

    Args:
        scenes: (split, scene, reader of its label).
        classes: what the labels mean.

    Raises:
        DataError: if a file cannot be read.
    """
    cells = (
        (read_image(sample.image), {f"{sample.name} ({split})": read_label(sample.label)})
        for split, sample, read_label in scenes
    )
    return scene_sheet(cells, classes.names, classes.palette, panel_width=PANEL, columns=COLUMNS)
