"""NYUv2 from its published MATLAB files to ``images/``, ``labels40/``, ``train.txt`` and ``test.txt``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.datasets.nyuv2 import IMAGES, LABELS, NYUV2, VOID
from transkd.errors import DataError, first_line
from transkd.files import replacing, write_text

Progress = Callable[[int, int], None]
_SPLITS = {"train": "trainNdxs", "test": "testNdxs"}
_MAPPING = "mapClass"
_UNFINISHED, _FINISHED = "conversion.unfinished.json", "conversion.json"


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion did.

    Attributes:
        root: the dataset's folder.
        scenes: how many it now holds.
        written: how many this call wrote; 0 where all were there already.
    """

    root: Path
    scenes: int
    written: int

    def __str__(self) -> str:
        """Summarise it in one line."""
        if not self.written:
            return f"{self.root} already holds these {self.scenes} scenes: nothing to do"
        return f"wrote {self.written} scenes; {self.root} holds {self.scenes}"


def convert_nyuv2(
    mat: Path | str,
    mapping: Path | str,
    splits: Path | str,
    root: Path | str,
    *,
    workers: int = 4,
    progress: Progress | None = None,
) -> ConvertReport:
    """Write NYUv2 with 40 classes as PNGs; the same call completes an interrupted one.

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
        DataError: if h5py is missing, a file is missing, damaged or does not fit the others, or the folder holds
            other files.
    """
    mat, mapping, splits, root = (Path(path).expanduser().absolute() for path in (mat, mapping, splits, root))
    try:
        import h5py
    except ImportError as error:
        raise DataError("NYUv2 is read with h5py, which is not installed: pip install 'transkd[nyuv2]'") from error
    table = _class_table(mapping)
    lists = {name: _read_numbers(splits, key) for name, key in _SPLITS.items()}
    _require_file(mat)
    try:
        file = h5py.File(mat, "r")
    except OSError as error:
        raise _unreadable(mat, error) from error
    with file:
        images, labels = _arrays(file, mat)
        _check_lists(lists, len(images), splits)
        sizes = [path.stat().st_size for path in (mat, mapping, splits)]
        try:
            if _claim(root, {"dataset": "nyuv2", "scenes": len(images), "bytes": sizes}):
                return ConvertReport(root, len(images), 0)
            written = _write_scenes(root, images, labels, table, mat, workers, progress)
            for name, numbers in lists.items():
                write_text(root / f"{name}.txt", "".join(f"{number:04d}\n" for number in sorted(numbers.tolist())))
            (root / _UNFINISHED).replace(root / _FINISHED)
        except OSError as error:
            raise DataError(f"cannot write to {root}: {error.strerror or error}") from error
        return ConvertReport(root, len(images), written)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"there is no file {path}")


def _unreadable(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path}: not a readable MATLAB file ({first_line(error)}); copy or download it again.")


def _read_numbers(path: Path, name: str) -> npt.NDArray[np.int64]:
    """Read a variable of whole numbers of a MATLAB file of version 5 as one flat array."""
    from scipy.io import loadmat

    _require_file(path)
    try:
        content = loadmat(path)
    except Exception as error:  # of many kinds, some of them scipy's own
        raise _unreadable(path, error) from error
    if name not in content:
        known = ", ".join(sorted(key for key in content if not key.startswith("_")))
        raise DataError(f"{path} holds no '{name}' (it holds {known}): give the file that does.")
    return np.asarray(content[name]).astype(np.int64).ravel()


def _class_table(path: Path) -> npt.NDArray[np.uint8]:
    """Return the table from the file's labels, void first, to ids 0 to 40."""
    classes = _read_numbers(path, _MAPPING)
    if classes.size == 0 or classes.min() < 1 or classes.max() > NYUV2.num_classes:
        raise DataError(
            f"{path}: '{_MAPPING}' must map to the classes 1 to {NYUV2.num_classes}, "
            f"but holds {classes.min(initial=0)} to {classes.max(initial=0)}."
        )
    return np.concatenate([[VOID], classes]).astype(np.uint8)


def _arrays(file: Any, path: Path) -> tuple[Any, Any]:
    """Return the datasets of images and labels."""
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


def _check_lists(lists: Mapping[str, npt.NDArray[np.int64]], count: int, path: Path) -> None:
    numbers = np.concatenate(list(lists.values()))
    if not all(one.size for one in lists.values()) or numbers.min() < 1 or numbers.max() > count:
        raise DataError(f"{path}: its numbers must be 1 to {count}, as many as there are scenes.")
    if len(np.unique(numbers)) < len(numbers):
        raise DataError(f"{path}: scenes are in both splits, or twice in one.")


def _claim(root: Path, source: Mapping[str, object]) -> bool:
    """Prepare a folder for the conversion of some source, and return whether it is complete already.

    Raises:
        DataError: if it holds other files.
    """
    root.mkdir(parents=True, exist_ok=True)
    held: dict[str, object] = {}
    for name in (_FINISHED, _UNFINISHED):
        with suppress(OSError, ValueError):
            held[name] = json.loads((root / name).read_text(encoding="utf-8"))
    if held.get(_FINISHED) == source:
        return True
    if held.get(_UNFINISHED) != source and any(root.iterdir()):
        names = ", ".join(sorted(path.name for path in root.iterdir())[:3])
        raise DataError(f"{root} already holds other files ({names}): choose an empty folder, root=PATH")
    write_text(root / _UNFINISHED, json.dumps(source, indent=2) + "\n")
    return False


def _write_scenes(
    root: Path,
    images: Any,
    labels: Any,
    table: npt.NDArray[np.uint8],
    mat: Path,
    workers: int,
    progress: Progress | None,
) -> int:
    """Write the scenes that are missing, and return how many."""
    for folder in (IMAGES, LABELS):
        (root / folder).mkdir(exist_ok=True)
    written = 0
    write = partial(_write_scene, root, images, labels, table, mat)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for done, was_missing in enumerate(pool.map(write, range(len(images))), start=1):
                written += was_missing
                if progress is not None:
                    progress(done, len(images))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return written


def _write_scene(root: Path, images: Any, labels: Any, table: npt.NDArray[np.uint8], mat: Path, index: int) -> bool:
    """Write one scene, the label last; return whether it was missing."""
    name = f"{index + 1:04d}.png"
    if (root / LABELS / name).is_file():
        return False
    try:
        image, label = np.asarray(images[index]), np.asarray(labels[index])
    except OSError as error:
        raise DataError(f"{mat}: scene {index + 1} cannot be read ({error}); download the file again.") from error
    if label.max() >= len(table):
        raise DataError(f"{mat}: scene {index + 1} has label {label.max()}, but the mapping ends at {len(table) - 1}.")
    for folder, pixels in ((IMAGES, image.transpose(2, 1, 0)), (LABELS, table[label].T)):
        with replacing(root / folder / name) as partial_file:
            Image.fromarray(np.ascontiguousarray(pixels)).save(partial_file, format="PNG", compress_level=3)
    return True
