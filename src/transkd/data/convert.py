"""NYUv2 from its published MATLAB files to ``images/``, ``labels40/``, ``train.txt`` and ``test.txt``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.datasets.nyuv2 import IMAGES, LABELS, NYUV2, VOID
from transkd.errors import DataError, first_few, first_line
from transkd.files import replacing, write_text

Progress = Callable[[int, int], None]
_RECORD = "conversion.json"


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion did."""

    root: Path  # the dataset's folder
    scenes: int  # how many it now holds
    written: int  # how many this call wrote; 0 where all were there already

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
    progress: Progress = lambda *_: None,
) -> ConvertReport:
    """Write NYUv2 with 40 classes as PNGs; the same call completes an interrupted one.

    Args:
        mat: ``nyu_depth_v2_labeled.mat``: ``images`` (N, 3, W, H) uint8 and ``labels`` (N, W, H) uint16, as HDF5.
        mapping: Gupta's ``classMapping40.mat``, whose ``mapClass`` gives one of 40 classes for each label from 1.
        splits: ``splits.mat``, with the scenes of ``trainNdxs`` and ``testNdxs``, from 1.
        root: the folder to write to, new, empty or begun by the same conversion.
        workers: threads that write.
        progress: called with (scenes done, scenes in all).

    Raises:
        DataError: if h5py is missing, a file is missing, damaged or does not fit the others, or the folder holds
            other files.
    """
    mat, mapping, splits, root = (Path(path).expanduser().absolute() for path in (mat, mapping, splits, root))
    try:
        import h5py
    except ImportError as error:
        raise DataError("NYUv2 is read with h5py, which is not installed: pip install 'transkd[nyuv2]'") from error
    for path in (mat, mapping, splits):
        if not path.is_file():
            raise DataError(f"there is no file {path}")
    classes = _read_numbers(mapping, "mapClass")
    if classes.min(initial=1) < 1 or classes.max(initial=0) > NYUV2.num_classes:
        raise DataError(f"{mapping}: 'mapClass' must map to the classes 1 to {NYUV2.num_classes}.")
    table = np.concatenate([[VOID], classes]).astype(np.uint8)  # from the file's labels, void first, to ids 0 to 40
    lists = {name: _read_numbers(splits, f"{name}Ndxs") for name in ("train", "test")}
    try:
        file = h5py.File(mat, "r")
    except OSError as error:
        raise _unreadable(mat, error) from error
    with file:
        if "images" not in file or "labels" not in file:
            raise DataError(f"{mat} holds no 'images' and 'labels' (it holds {', '.join(sorted(file))}).")
        count = len(file["images"])
        numbers = np.concatenate(list(lists.values()))
        if len(np.unique(numbers)) < len(numbers) or numbers.min() < 1 or numbers.max() > count:
            raise DataError(f"{splits}: its numbers must be 1 to {count}, as many as there are scenes, each once.")
        try:
            sizes = [path.stat().st_size for path in (mat, mapping, splits)]
            _begin(root, {"dataset": "nyuv2", "scenes": count, "bytes": sizes})
            written = _write_scenes(file, mat, table, root, workers, progress)
            for name, of_split in lists.items():
                write_text(root / f"{name}.txt", "".join(f"{number:04d}\n" for number in sorted(of_split.tolist())))
        except OSError as error:
            raise DataError(f"cannot write to {root}: {error.strerror or error}") from error
    return ConvertReport(root, count, written)


def _unreadable(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path}: not a readable MATLAB file ({first_line(error)}); copy or download it again.")


def _read_numbers(path: Path, name: str) -> npt.NDArray[np.int64]:
    """Read a variable of whole numbers of a MATLAB file of version 5 as one flat array."""
    from scipy.io import loadmat

    try:
        content = loadmat(path)
    except Exception as error:  # of many kinds, some of them scipy's own
        raise _unreadable(path, error) from error
    if name not in content:
        known = ", ".join(sorted(key for key in content if not key.startswith("_")))
        raise DataError(f"{path} holds no '{name}' (it holds {known}): give the file that does.")
    return np.asarray(content[name]).astype(np.int64).ravel()


def _begin(root: Path, source: Mapping[str, object]) -> None:
    """Record the source of a conversion in its folder, or raise a DataError if it holds anything else."""
    root.mkdir(parents=True, exist_ok=True)
    record = root / _RECORD
    begun = None
    with suppress(OSError, ValueError):
        begun = json.loads(record.read_text(encoding="utf-8"))
    if begun != source:
        if names := sorted(path.name for path in root.iterdir()):
            raise DataError(f"{root} already holds other files ({first_few(names)}): choose an empty folder, root=PATH")
        write_text(record, json.dumps(source, indent=2) + "\n")


def _write_scenes(
    file: Any, mat: Path, table: npt.NDArray[np.uint8], root: Path, workers: int, progress: Progress
) -> int:
    """Write the scenes that are missing, and return how many."""
    for folder in (IMAGES, LABELS):
        (root / folder).mkdir(exist_ok=True)

    def write(index: int) -> bool:
        name = f"{index + 1:04d}.png"
        if (root / LABELS / name).is_file():
            return False
        try:
            image, label = np.asarray(file["images"][index]), np.asarray(file["labels"][index])
        except OSError as error:
            raise DataError(f"{mat}: scene {index + 1} cannot be read ({error}); download the file again.") from error
        if label.max() >= len(table):
            raise DataError(
                f"{mat}: scene {index + 1} has label {label.max()}, but the mapping ends at {len(table) - 1}."
            )
        for folder, pixels in ((IMAGES, image.transpose(2, 1, 0)), (LABELS, table[label].T)):  # the label last
            with replacing(root / folder / name) as partial_file:
                Image.fromarray(np.ascontiguousarray(pixels)).save(partial_file, format="PNG", compress_level=3)
        return True

    written, count = 0, len(file["images"])
    with ThreadPoolExecutor(max(1, workers)) as pool:
        try:
            for done, was_missing in enumerate(pool.map(write, range(count)), start=1):
                written += was_missing
                progress(done, count)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return written
