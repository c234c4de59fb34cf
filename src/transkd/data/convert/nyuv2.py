"""NYUv2 from its published MATLAB files to ``images/``, ``labels40/``, ``train.txt`` and ``test.txt``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.data.datasets.nyuv2 import IMAGES, LABELS, NYUV2, VOID
from transkd.errors import DataError

_HDF5_PLACES = (0, 512)  # MATLAB writes 512 bytes of its own before the HDF5 signature
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def open_hdf5(path: Path) -> Any:
    """Open an HDF5 file for reading.

    Returns:
        An ``h5py.File``, to be closed by the caller.

    Raises:
        DataError: if h5py is not installed, or the file is missing, damaged or of another kind.
    """
    h5py = _required("h5py")
    _require_file(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error


def read_numbers(path: Path, name: str) -> npt.NDArray[np.int64]:
    """Read a numeric variable of a MATLAB file as one flat array.

    Raises:
        DataError: if a package is missing, or the file or the variable is missing, damaged or no numbers.
    """
    _require_file(path)
    if _is_hdf5(path):
        with open_hdf5(path) as file:
            known, values = sorted(file), (np.asarray(file[name]) if name in file else None)
    else:
        scipy_io = _required("scipy.io")
        try:
            content = scipy_io.loadmat(path)
        except Exception as error:  # of many kinds, some of them scipy's own
            raise _unreadable(path, error) from error
        known, values = sorted(key for key in content if not key.startswith("_")), content.get(name)
    if values is None:
        raise DataError(f"{path} holds no '{name}' (it holds {', '.join(known)}): give the file that does.")
    if values.dtype.kind not in "uif" or not np.array_equal(values, np.round(values)):
        raise DataError(f"{path}: '{name}' does not hold whole numbers.")
    return values.astype(np.int64).ravel()


def _required(name: str) -> ModuleType:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"MATLAB files are read with {name.partition('.')[0]}, which is not installed: pip install 'transkd[nyuv2]'"
        ) from error


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"there is no file {path}")


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(_HDF5_PLACES[-1] + len(_HDF5_SIGNATURE))
    return any(head[place:].startswith(_HDF5_SIGNATURE) for place in _HDF5_PLACES)


def _unreadable(path: Path, error: BaseException) -> DataError:
    return DataError(f"{path}: not a MATLAB file that can be read ({error}); copy or download it again.")


UNFINISHED = "conversion.unfinished.json"
FINISHED = "conversion.json"


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
        """Say it in one line."""
        if not self.written:
            return f"{self.root} already holds these {self.scenes} scenes: nothing to do"
        return f"wrote {self.written} scenes; {self.root} holds {self.scenes}"


def claim_folder(root: Path, source: Mapping[str, object]) -> bool:
    """Make a folder ready to be written to, or to be completed.

    Args:
        root: the folder, made if missing.
        source: what is converted; a folder that was begun with the same is completed.

    Returns:
        Whether it is complete already.

    Raises:
        DataError: if it holds other files, or cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        held = {name: _read(root / name) for name in (FINISHED, UNFINISHED)}
        if held[FINISHED] == source:
            return True
        if held[UNFINISHED] != source and any(root.iterdir()):
            names = ", ".join(sorted(path.name for path in root.iterdir())[:3])
            raise DataError(f"{root} already holds other files ({names}): choose an empty folder, root=PATH")
        (root / UNFINISHED).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write to {root}: {error.strerror or error}") from error
    return False


def finish_folder(root: Path) -> None:
    """Mark a folder as complete."""
    (root / UNFINISHED).replace(root / FINISHED)


def write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write a PNG that is either whole or not there."""
    partial = path.with_name(f"{path.name}.part")
    Image.fromarray(pixels).save(partial, format="PNG", compress_level=3)
    partial.replace(path)


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a list that is either whole or not there."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


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
