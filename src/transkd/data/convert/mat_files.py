"""MATLAB's two kinds of files: HDF5 (version 7.3) and its older format."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

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
