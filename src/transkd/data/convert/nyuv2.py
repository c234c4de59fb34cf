"""NYUv2 from its published MATLAB files to ``images/``, ``labels40/``, ``train.txt`` and ``test.txt``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from transkd.data.convert.mat_files import open_hdf5, read_numbers
from transkd.data.convert.writing import ConvertReport, claim_folder, finish_folder, write_lines, write_png
from transkd.data.datasets.nyuv2 import IMAGES, LABELS, NYUV2, VOID
from transkd.errors import DataError

Progress = Callable[[int, int], None]
_SPLITS = {"train": "trainNdxs", "test": "testNdxs"}
_MAPPING = "mapClass"


def convert_nyuv2(
    mat: Path | str,
    mapping: Path | str,
    splits: Path | str,
    root: Path | str,
    *,
    workers: int = 4,
    progress: Progress | None = None,
) -> ConvertReport:
    """Write NYUv2 with 40 classes as PNGs; an interrupted call is completed by the same call.

    Args:
        mat: ``nyu_depth_v2_labeled.mat``: ``images`` (N, 3, W, H) uint8 and ``labels`` (N, W, H) uint16, as HDF5.
        mapping: Gupta's ``classMapping40.mat``, whose ``mapClass`` gives one of 40 classes for each label from 1.
        splits: ``splits.mat``, with the scenes of ``trainNdxs`` and ``testNdxs``, from 1.
        root: the folder to write to, new, empty or begun by the same conversion.
        workers: threads that write.
        progress: called with (scenes done, scenes in all).

    Returns:
        What was done.

    Raises:
        DataError: if a package is missing, a file is missing, damaged or does not fit the others, or the folder
            holds other things.
    """
    mat, mapping, splits, root = (Path(path).expanduser().absolute() for path in (mat, mapping, splits, root))
    table = _class_table(read_numbers(mapping, _MAPPING), mapping)
    lists = {name: read_numbers(splits, key) for name, key in _SPLITS.items()}
    with open_hdf5(mat) as file:
        images, labels = _arrays(file, mat)
        count = len(images)
        _check_lists(lists, count, splits)
        source = {
            "dataset": "nyuv2",
            "scenes": count,
            "bytes": [path.stat().st_size for path in (mat, mapping, splits)],
        }
        if claim_folder(root, source):
            return ConvertReport(root, count, 0)
        written = _write_scenes(root, images, labels, table, mat, workers, progress)
    for name, numbers in lists.items():
        write_lines(root / f"{name}.txt", [_name(number) for number in sorted(numbers.tolist())])
    finish_folder(root)
    return ConvertReport(root, count, written)


def _class_table(classes: npt.NDArray[np.int64], path: Path) -> npt.NDArray[np.uint8]:
    """Return the table from the file's labels, void first, to ids 0 to 40."""
    if classes.size == 0 or classes.min() < 1 or classes.max() > NYUV2.num_classes:
        raise DataError(
            f"{path}: '{_MAPPING}' must map to the classes 1 to {NYUV2.num_classes}, "
            f"but holds {classes.min(initial=0)} to {classes.max(initial=0)}."
        )
    return np.concatenate([[VOID], classes]).astype(np.uint8)


def _arrays(file: Any, path: Path) -> tuple[Any, Any]:
    for name in ("images", "labels"):
        if name not in file:
            raise DataError(
                f"{path} holds no '{name}' (it holds {', '.join(sorted(file))}): give the labelled dataset."
            )
    images, labels = file["images"], file["labels"]
    if images.ndim != 4 or images.shape[1] != 3 or labels.shape != (images.shape[0], *images.shape[2:]):
        raise DataError(
            f"{path}: 'images' {images.shape} and 'labels' {labels.shape} are not (N, 3, W, H) and (N, W, H)."
        )
    return images, labels


def _check_lists(lists: dict[str, npt.NDArray[np.int64]], count: int, path: Path) -> None:
    together = np.concatenate(list(lists.values()))
    if any(numbers.size == 0 for numbers in lists.values()) or together.min() < 1 or together.max() > count:
        raise DataError(f"{path}: its numbers must be 1 to {count}, as many as there are scenes.")
    if len(np.unique(together)) < len(together):
        raise DataError(f"{path}: scenes are in both splits, or twice in one.")


def _write_scenes(
    root: Path,
    images: Any,
    labels: Any,
    table: npt.NDArray[np.uint8],
    mat: Path,
    workers: int,
    progress: Progress | None,
) -> int:
    for folder in (IMAGES, LABELS):
        (root / folder).mkdir(exist_ok=True)
    count, written = len(images), 0
    write = partial(_write_scene, root, images, labels, table, mat)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for done, was_missing in enumerate(pool.map(write, range(count)), start=1):
                written += was_missing
                if progress is not None:
                    progress(done, count)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return written


def _write_scene(root: Path, images: Any, labels: Any, table: npt.NDArray[np.uint8], mat: Path, index: int) -> bool:
    """Write one scene, the label last; return whether it was missing."""
    name = f"{_name(index + 1)}.png"
    if (root / LABELS / name).is_file():
        return False
    try:
        image, label = np.asarray(images[index]), np.asarray(labels[index])
    except OSError as error:
        raise DataError(f"{mat}: scene {index + 1} cannot be read ({error}); download the file again.") from error
    if label.max() >= len(table):
        raise DataError(f"{mat}: scene {index + 1} has label {label.max()}, but the mapping ends at {len(table) - 1}.")
    try:
        write_png(root / IMAGES / name, np.ascontiguousarray(image.transpose(2, 1, 0)))
        write_png(root / LABELS / name, np.ascontiguousarray(table[label].T))
    except OSError as error:
        raise DataError(f"cannot write to {root}: {error.strerror or error}") from error
    return True


def _name(number: int) -> str:
    return f"{number:04d}"
