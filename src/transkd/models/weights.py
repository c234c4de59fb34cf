"""Files of weights: safetensors in and out, and what is wrong when they do not fit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transkd.errors import WeightsError
from transkd.models.file_kinds import file_kind

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
