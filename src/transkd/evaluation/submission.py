"""Predictions as files of ids, one PNG an image, as the test servers of benchmarks take them."""

from __future__ import annotations

import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from transkd.errors import DataError
from transkd.evaluation.evaluate import Prediction
from transkd.evaluation.protocol import logits_at

UNFINISHED = ".unfinished"


@dataclass
class LabelFiles:
    """Writes predictions at the images' own sizes, in a folder that gets its name once all are there.

    Give an instance's ``write`` to :func:`~transkd.evaluation.evaluate.evaluate` as ``keep``.

    Attributes:
        folder: where they end up; until ``finish`` they lie beside it, in ``FOLDER.unfinished``.
        file_names: one an image of the split.
        own_size: the height and width of an image, by its index in the split.
        ids: the id that stands for each class in the files.
        sizes: how many files of each (height, width) were written.

    Raises:
        DataError: two images would have the same file.
    """

    folder: Path
    file_names: Sequence[str]
    own_size: Callable[[int], tuple[int, int]]
    ids: Sequence[int]
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        repeated = [name for name, count in Counter(self.file_names).items() if count > 1]
        if repeated:
            raise DataError(
                f"{len(repeated)} names of images occur more than once, and a server knows an image by its name: "
                f"{', '.join(sorted(repeated)[:3])}. Rename the images"
            )
        self._table = np.asarray(self.ids, np.uint8)
        self._archive: Path | None = None

    def start(self) -> None:
        """Make the folder of unfinished files, empty."""
        partial = unfinished_path(self.folder)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)

    def write(self, prediction: Prediction) -> None:
        """Write the files of one batch: 8-bit, one channel, each of its image's own size."""
        for row, index in enumerate(prediction.index.tolist()):
            size = self.own_size(index)
            classes = prediction.classes[row]
            if tuple(classes.shape) != size:
                classes = logits_at(prediction.logits[row : row + 1].float(), size).argmax(dim=1)[0]
            Image.fromarray(self._as_ids(classes)).save(unfinished_path(self.folder) / self.file_names[index])
            self.sizes[size] += 1

    def pack(self, archive: Path) -> int:
        """Put the files into a zip archive, below their folder's name; a PNG is not compressed again.

        Args:
            archive: where to; like the folder, it gets its name by ``finish``.

        Returns:
            The archive's size in bytes.
        """
        self._archive = archive
        partial = unfinished_path(archive)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as zipped:
            for file in sorted(unfinished_path(self.folder).iterdir()):
                zipped.write(file, f"{self.folder.name}/{file.name}")
        return partial.stat().st_size

    def finish(self) -> None:
        """Give the folder and the archive their names, in place of those that have them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        unfinished_path(self.folder).rename(self.folder)
        if self._archive is not None:
            unfinished_path(self._archive).replace(self._archive)

    def _as_ids(self, classes: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return np.take(self._table, classes.cpu().numpy())


def unfinished_path(path: Path) -> Path:
    """Return where a file or folder is until it is complete."""
    return path.with_name(path.name + UNFINISHED)


def doubts(sizes: Counter[tuple[int, int]], *, size: tuple[int, int], count: int | None) -> list[str]:
    """List why a server may refuse files, by how many there are of each (height, width); empty where nothing is wrong.

    Its images have the (height, width) ``size``, and are ``count``, where that is known.
    """
    found = []
    others = sum(number for own, number in sizes.items() if own != size)
    if others:
        example = next(own for own in sizes if own != size)
        found.append(
            f"{others} of {sizes.total()} files are not {size[0]}x{size[1]} pixels as the server's images are "
            f"(the images here are {example[0]}x{example[1]})"
        )
    if count is not None and sizes.total() != count:
        found.append(f"there are {sizes.total()} files, and the server has {count} images")
    return found
