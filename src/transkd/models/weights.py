"""Files of weights: safetensors in and out, and what is wrong when they do not fit."""

from __future__ import annotations

import json
import pickle
import re
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transkd.errors import WeightsError

_HEAD_BYTES = 512
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, which stands for the file",
        "fetch the file itself: git lfs pull",
    ),
    (b"\x89PNG", "a PNG image", "give a file of weights"),
    (b"\xff\xd8\xff", "a JPEG image", "give a file of weights"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras and TensorFlow write", "give weights for PyTorch"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and give what is inside"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give what is inside"),
    (b"Rar!", "a rar archive", "unpack it and give what is inside"),
    (b"GGUF", "a GGUF file of a language model", "give weights of a segmenter"),
    (b"\x93NUMPY", "a numpy array", "give a file of weights"),
    (b"%PDF", "a PDF document", "give a file of weights"),
)
_MARKUP = (b"<!doctype html", b"<html", b"<?xml", b"<head")
_ONNX_SECOND_FIELDS = {0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72}


class FileKind(Enum):
    """Kinds of files that models come in."""

    SAFETENSORS = "safetensors"
    PICKLE = "pickle"
    ONNX = "onnx"
    TORCH_EXPORT = "torch.export"
    TORCHSCRIPT = "torchscript"
    JSON = "json"


def file_kind(path: Path) -> FileKind:
    """Return what kind of file ``path`` is.

    Raises:
        WeightsError: it is empty, truncated, unreadable, or nothing that a model comes in; the message says what it is.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    if size == 0:
        raise WeightsError(f"{path} is empty (0 bytes); copy or download it again")
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            raise WeightsError(f"{path} is {what} ({size} bytes), not weights; {remedy}")
    if head.lstrip().lower().startswith(_MARKUP):
        raise WeightsError(
            f"{path} is a web page, not weights: the download gave the page of the file or a message; download it again"
        )
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path, size)
    return _kind_of_head(head, path, size)


def _kind_of_head(head: bytes, path: Path, size: int) -> FileKind:
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") >= 2:
        return FileKind.SAFETENSORS
    if head.lstrip()[:1] in (b"{", b"["):
        return FileKind.JSON
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= 32 and head[2] in _ONNX_SECOND_FIELDS:
        return FileKind.ONNX
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return FileKind.PICKLE
    if tarfile.is_tarfile(path):
        raise WeightsError(f"{path} is a tar archive, not weights; unpack it and give what is inside")
    raise WeightsError(
        f"{path} ({size} bytes) is no file of weights, or a damaged one: it is neither safetensors nor a PyTorch file; "
        "copy or download it again"
    )


def _zip_kind(path: Path, size: int) -> FileKind:
    try:
        with zipfile.ZipFile(path) as container:
            names = container.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is truncated or damaged: {size} bytes of a PyTorch file or zip archive without its end; "
            "copy or download it again"
        ) from error
    inside = {name.partition("/")[2] for name in names}
    if "archive_format" in inside or "serialized_exported_program.json" in {*names, *inside}:
        return FileKind.TORCH_EXPORT
    if "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
        return FileKind.TORCHSCRIPT
    if "data.pkl" in inside:
        return FileKind.PICKLE
    raise WeightsError(
        f"{path} is a zip archive, not weights: it holds {', '.join(names[:3]) or 'nothing'}"
        f"{', …' if len(names) > 3 else ''}; unpack it and give what is inside"
    )


_REFUSED = re.compile(r"GLOBAL ([\w.]+)|<class '([\w.]+)'>")
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")  # at the start of torch.save's older format
# numpy's scalars and arrays, which training scripts keep among their numbers; they run nothing.
_HARMLESS: list[Any] = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bhilqBHILQefdSU"},
    *((multiarray.scalar, f"{module}.multiarray.scalar") for module in ("numpy.core", "numpy._core")),
    *((multiarray._reconstruct, f"{module}.multiarray._reconstruct") for module in ("numpy.core", "numpy._core")),
]


def read_pickle(path: str | Path) -> Any:
    """Return what a file of ``torch.save`` holds, on the CPU; only tensors and plain values are taken.

    Files of either format of ``torch.save`` are read. Of the zip format all checksums are verified, so that a
    damaged file never loads as other weights.

    Raises:
        WeightsError: the file is missing, damaged, not of ``torch.save``, or holds objects that would have to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    if (kind := file_kind(path)) is not FileKind.PICKLE:
        raise WeightsError(f"{path} is a file of {kind.value}, not one that torch.save wrote")
    _verify(path)
    try:
        # The open file, since torch.load would take a path's suffix for its format.
        with path.open("rb") as file, torch.serialization.safe_globals(_HARMLESS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, error) from error
    except Exception as error:
        raise WeightsError(f"{path} is damaged and cannot be read ({_first_line(error)}); download it again") from error


def _verify(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        _verify_older_format(path)
        return
    try:
        with zipfile.ZipFile(path) as container:
            broken = container.testzip()
    except Exception as error:
        raise WeightsError(f"{path} is truncated or damaged ({_first_line(error)}); download it again") from error
    if broken is not None:
        raise WeightsError(f"{path} is damaged: the checksum of its record '{broken}' is wrong; download it again")


def _verify_older_format(path: Path) -> None:
    with path.open("rb") as file:
        if _MAGIC_NUMBER not in file.read(32):
            raise WeightsError(
                f"{path} is refused, and nothing of it was executed: it is a bare Python pickle, not a file that "
                "torch.save wrote; save its state dict with torch.save(state_dict, …)"
            )


def _refusal(path: Path, error: Exception) -> WeightsError:
    match = _REFUSED.search(str(error))
    if match is None:
        return WeightsError(f"{path} is damaged or no file of torch.save; download it again")
    return WeightsError(
        f"{path} is refused, and nothing of it was executed: besides tensors it holds '{match[1] or match[2]}', which "
        "would run code on loading. Where you trust its origin, open it with torch.load(…, weights_only=False) "
        "and save its state dict alone: torch.save(model.state_dict(), …)"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FOLDER_HOLDS = f"{CONFIG_FILE} and {WEIGHTS_FILE}"
CONFIG_METADATA = "transkd"  # under which a safetensors file also says what segmenter it is of

Shapes = Mapping[str, tuple[int, ...]]


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict of ``model`` to ``path``, under the names it has without ``torch.compile``.

    A segmenter's ``config`` goes into the file's metadata, so that the file alone says what it is of.
    """
    tensors = {
        name.replace("_orig_mod.", ""): tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    config = getattr(model, "config", None)
    metadata = {"format": "pt"} | ({CONFIG_METADATA: json.dumps(config)} if isinstance(config, dict) else {})
    partial = path.with_name(f"{path.name}.partial")
    save_file(tensors, partial, metadata=metadata)
    partial.replace(path)


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the tensors of a safetensors file into ``model``.

    Raises:
        WeightsError: the file is missing or damaged, or its tensors are not exactly those of the model.
    """
    differences = tensor_differences(state_shapes(model), file_shapes(path))
    if differences:
        raise WeightsError(f"{path} does not fit the segmenter of its {CONFIG_FILE}: {differences}")
    model.load_state_dict(load_file(path))


def saved_config(path: Path) -> dict[str, Any] | None:
    """Return the segmenter's config in a safetensors file's metadata, None where it has none."""
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(CONFIG_METADATA)
        config = None if text is None else json.loads(text)
    except (SafetensorError, OSError, ValueError):
        return None
    return config if isinstance(config, dict) else None


def state_shapes(model: nn.Module) -> Shapes:
    """Return the shape of each tensor of the model's state dict."""
    return shapes_of(model.state_dict())


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def file_shapes(path: Path) -> Shapes:
    """Return the shape of each tensor of a safetensors file.

    Raises:
        WeightsError: the file is missing, empty, truncated or not safetensors.
    """
    if not path.is_file():
        raise WeightsError(f"there is no {path.name} in {path.parent}; a segmenter's folder holds {FOLDER_HOLDS}")
    file_kind(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} ({path.stat().st_size} bytes) is damaged or not a safetensors file ({error}); "
            "copy or download it again"
        ) from error


def tensor_differences(expected: Shapes, found: Shapes) -> str:
    """Return how ``found`` differs, by the first three tensors of each kind; "" where it does not."""
    reshaped = [
        f"{name} {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    kinds = {
        "of another shape": reshaped,
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
    }
    return "; ".join(f"{len(names)} tensors {kind}: {first_few(names)}" for kind, names in kinds.items() if names)


def first_few(names: Iterable[str], count: int = 3) -> str:
    """Return the first of ``names``, separated by commas, and "..." where there are more."""
    listed = list(names)
    return ", ".join(listed[:count]) + (", ..." if len(listed) > count else "")


# Under what training scripts keep the weights, in the order in which they are looked for.
_WEIGHTS_KEYS = (
    "state_dict_ema",
    "model_ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
    "params",
)
_PREFIXES = ("module.", "_orig_mod.", "model.")
_EXPORTED = {
    FileKind.ONNX: "an ONNX file",
    FileKind.TORCH_EXPORT: "a torch.export program",
    FileKind.TORCHSCRIPT: "a TorchScript program",
}


def read_content(path: Path) -> Any:
    """Return what a safetensors or PyTorch file holds: a state dict, or a checkpoint around one.

    Raises:
        WeightsError: it is missing, damaged, of another kind, or would run code; the message says what it is.
    """
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    kind = file_kind(path)
    if kind is FileKind.SAFETENSORS:
        return read_safetensors(path)
    if kind is FileKind.PICKLE:
        return read_pickle(path)
    if kind is FileKind.JSON:
        raise WeightsError(f"{path} is a JSON file, not weights; give the folder that it lies in")
    raise WeightsError(
        f"{path} is {_EXPORTED[kind]}, an exported model, which has no weights to load: transkd.load_model runs it "
        "where that can be done; to train or distil, give the weights that it was exported from"
    )


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        WeightsError: it is damaged or no such file.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} ({path.stat().st_size} bytes) is damaged or not a safetensors file ({error}); "
            "copy or download it again"
        ) from error


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of a file, without what training scripts wrap around it and put before its names.

    Args:
        path: a safetensors file, or one of ``torch.save`` with a state dict or with a checkpoint around one.

    Raises:
        WeightsError: it is missing, damaged, would run code, or holds no state dict or several.
    """
    path = Path(path)
    return state_of(read_content(path), str(path))


def state_of(content: Any, where: str) -> dict[str, Tensor]:
    """Return the state dict in what a file holds, without the prefix that all its names have in common.

    Raises:
        WeightsError: it holds none, or several and none under a usual name.
    """
    return _without_prefix(_find_state(content, where))


def read_shards(index: Path, files: Mapping[str, Path]) -> dict[str, Tensor]:
    """Return the tensors of all files that ``index`` names.

    Args:
        index: ``…index.json`` of a sharded model.
        files: the shards by name.
    """
    state: dict[str, Tensor] = {}
    for path in files.values():
        state |= read_state(path)
    missing = [name for name in _weight_map(index) if name not in state]
    if missing:
        raise WeightsError(
            f"{index} promises {len(missing)} tensors that its files do not hold: {first_few(missing)}; "
            "copy or download the folder again"
        )
    return state


def shard_names(index: Path) -> list[str]:
    """Return the names of the files that a sharded model's index names, in order.

    Raises:
        WeightsError: the index is not one.
    """
    names = sorted(set(_weight_map(index).values()))
    for name in names:
        if Path(name).name != name:
            raise WeightsError(f"{index} names a file outside of its folder ({name}), which is not read")
    return names


def _weight_map(index: Path) -> dict[str, str]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{index} is no index of a sharded model ({error}); download it again") from error
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise WeightsError(f"{index} is no index of a sharded model; download it again")
    return weight_map


def _find_state(content: Any, where: str) -> Mapping[str, Tensor]:
    if _is_state(content):
        return content  # type: ignore[no-any-return]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{where} holds a {type(content).__name__}, not a state dict; save model.state_dict()")
    for key in _WEIGHTS_KEYS:
        if _is_state(content.get(key)):
            return content[key]  # type: ignore[no-any-return]
    nested = [key for key, value in content.items() if _is_state(value)]
    if len(nested) == 1:
        return content[nested[0]]  # type: ignore[no-any-return]
    if nested:
        raise WeightsError(
            f"{where} holds several state dicts ({first_few(map(str, nested))}): save the one that is wanted alone"
        )
    raise WeightsError(
        f"{where} holds no state dict; its keys are {first_few(map(str, content)) or 'none'}; save model.state_dict()"
    )


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = list(state)
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in names):
            return _without_prefix({name.removeprefix(prefix): tensor for name, tensor in state.items()})
    return dict(state)


def read_json(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds.

    Raises:
        WeightsError: it is not JSON, or holds something else than an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not valid JSON ({error}); copy or download it again") from error
    return content if isinstance(content, dict) else {}
