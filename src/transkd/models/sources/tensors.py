"""The tensors of a file or of a folder's sharded files, whatever they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.file_kinds import FileKind, file_kind
from transkd.models.pickles import read_pickle
from transkd.models.weights import first_few

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
