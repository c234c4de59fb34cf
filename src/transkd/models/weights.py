"""State dicts in and out of files, and how one differs from what a network needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transkd.errors import WeightsError
from transkd.files import replacing
from transkd.models.file_kinds import FileKind, file_kind, read_pickle

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
FOLDER_HOLDS = f"{CONFIG_FILE} and {WEIGHTS_FILE}"
CONFIG_METADATA = "transkd"
"""The key in a safetensors file's metadata that holds the segmenter's config."""

Shapes = Mapping[str, tuple[int, ...]]

WRAPPERS = (
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
"""The keys under which training scripts save a state dict, in the order in which they are tried: averages first."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What data parallelism, averaging, compilation and training scripts put before every name."""


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the state dict of a file, without what training scripts wrap around it and put before its names.

    Args:
        path: a safetensors file, one of ``torch.save`` with a state dict or with a checkpoint around one
            (:data:`WRAPPERS`), or the index of a sharded model, whose files lie beside it.

    Raises:
        WeightsError: it is missing, damaged, would run code, or holds no state dict or several.
    """
    return state_of(read_content(Path(path)), str(path))


def read_content(path: Path) -> Any:
    """Return all that a file of weights holds: a state dict, or a checkpoint around one.

    Raises:
        WeightsError: it is missing, damaged, of another kind, or would run code.
    """
    kind = file_kind(path)
    if kind is FileKind.PICKLE:
        return read_pickle(path)
    if kind is FileKind.SAFETENSORS:
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(
                f"{path} ({path.stat().st_size} bytes) is damaged or not a safetensors file ({error}); "
                "copy or download it again"
            ) from error
    if kind is FileKind.JSON:
        return _read_shards(path)
    raise WeightsError(
        f"{path} is an exported model ({kind.value}), which has no weights to load: transkd.load_model runs it where "
        "that can be done; to train or distil, give the weights that it was exported from"
    )


def shard_names(index: Path) -> list[str]:
    """Return the names of the files that the index of a sharded model lists, sorted.

    Raises:
        WeightsError: it is no such index, or lists a file outside of its folder.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise WeightsError(f"{index} is a JSON file, not weights; give the folder that it lies in")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name:
            raise WeightsError(f"{index} lists a file outside of its folder ({name}), which is not read")
    return names


def _read_shards(index: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name in shard_names(index):
        if not (index.parent / name).is_file():
            raise WeightsError(f"{index} lists {name}, which is not beside it; download the rest of the folder")
        state |= read_content(index.parent / name)
    return state


def state_of(content: Any, where: str) -> dict[str, Tensor]:
    """Return the state dict in what a file holds, without the prefixes that all its names have in common.

    Raises:
        WeightsError: it holds none, or several and none under a key of :data:`WRAPPERS`.
    """
    state = {name: tensor for name, tensor in _find_state(content, where).items() if name != "n_averaged"}
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _find_state(content: Any, where: str) -> Mapping[str, Tensor]:
    if not isinstance(content, Mapping):
        raise WeightsError(f"{where} holds a {type(content).__name__}, not a state dict; save model.state_dict()")
    if _is_state(content):
        return content
    found = [key for key, value in content.items() if _is_state(value)]
    wrapper = next((key for key in WRAPPERS if key in found), found[0] if len(found) == 1 else None)
    if wrapper is None:
        held = f"several state dicts ({first_few(map(str, found))})" if found else "no state dict"
        keys = first_few(map(str, content)) or "none"
        raise WeightsError(f"{where} holds {held}; its keys are {keys}; save model.state_dict() alone")
    return content[wrapper]  # type: ignore[no-any-return]


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds, {} where it holds another value.

    Raises:
        WeightsError: it is not JSON.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is not valid JSON ({error}); copy or download it again") from error
    return content if isinstance(content, dict) else {}


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the state dict of ``model`` to a safetensors file, under the names it has without ``torch.compile``.

    A segmenter's ``config`` goes into the file's metadata, so that the file alone says what it is of.
    """
    tensors = {
        name.replace("_orig_mod.", ""): tensor.detach().cpu().contiguous()
        for name, tensor in model.state_dict().items()
    }
    config = getattr(model, "config", None)
    metadata = {"format": "pt"} | ({CONFIG_METADATA: json.dumps(config)} if isinstance(config, dict) else {})
    with replacing(path) as partial:
        save_file(tensors, partial, metadata=metadata)


def saved_config(path: Path) -> dict[str, Any] | None:
    """Return the segmenter's config in a safetensors file's metadata, None where there is none."""
    if file_kind(path) is not FileKind.SAFETENSORS:
        return None
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(CONFIG_METADATA)
    config = None if text is None else json.loads(text)
    return config if isinstance(config, dict) else None


def state_shapes(model: nn.Module) -> Shapes:
    """Return the shape of each tensor of the model's state dict."""
    return shapes_of(model.state_dict())


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


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
