"""Our own segmenters: saved folders and repositories, and the training checkpoints of a run."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from transkd.errors import WeightsError
from transkd.models.formats.recognise import infer_config
from transkd.models.segmenter import Segmenter
from transkd.models.sources.found import Found
from transkd.models.sources.places import Place
from transkd.models.weights import CONFIG_FILE, FOLDER_HOLDS, WEIGHTS_FILE, file_shapes, read_safetensors, shapes_of

RUN_SUBFOLDERS = ("student", "model")
CHECKPOINT_CONFIG = "segmenter"  # where a training checkpoint keeps the segmenter's config
_SEGMENTER = "segmenter."
_AVERAGE = "StudentEMA"
_FRESH_STARTS = (None, "scratch", "random", "pretrained")


def is_our_config(config: Mapping[str, Any]) -> bool:
    """Return whether a ``config.json`` is that of a :class:`Segmenter`."""
    return {"backbone", "num_classes"} <= set(config) <= config_keys()


def config_keys() -> set[str]:
    """Return what a segmenter's ``config.json`` may hold."""
    return set(signature(Segmenter.__init__).parameters) - {"self"}


def found_in_place(place: Place, config: Mapping[str, Any], source: str) -> Found:
    """Return the segmenter that ``save_pretrained`` wrote.

    Raises:
        WeightsError: its weights are missing or damaged.
    """
    path = place.find(WEIGHTS_FILE)
    if path is None:
        raise WeightsError(f"there is no {WEIGHTS_FILE} in {place.name}; a segmenter's folder holds {FOLDER_HOLDS}")
    file_shapes(path)
    return Found(config, read_safetensors(path), source, f"{place.name}/{CONFIG_FILE}", str(path))


def is_training_checkpoint(content: Any) -> bool:
    """Return whether a file of ``torch.save`` is a checkpoint of a training run of ours."""
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    return isinstance(state, Mapping) and any(str(name).startswith(f"{_SEGMENTER}backbone.") for name in state)


def found_in_checkpoint(checkpoint: Mapping[str, Any], path: Path, source: str) -> Found:
    """Return the segmenter of a training checkpoint, with its averaged weights where the run averaged.

    What segmenter it is of stands in the checkpoint; where it does not, the folder of its run says so.

    Raises:
        WeightsError: neither says so.
    """
    tensors = checkpoint_weights(checkpoint)
    config = checkpoint.get(CHECKPOINT_CONFIG)
    if isinstance(config, dict) and is_our_config(config):
        return Found(config, tensors, source, f"'{CHECKPOINT_CONFIG}' of {path}", str(path))
    run_config = path.resolve().parent.parent / "config.yaml"
    config = _config_of_run(run_config, tensors)
    if config is None:
        raise WeightsError(
            f"{path} is a training checkpoint that does not say what segmenter it is of, and its run's config.yaml, "
            f"which would, is not at {run_config}: leave the checkpoint in the checkpoints/ of its run, or give the "
            "folder student/ or model/ that the run saved"
        )
    return Found(config, tensors, source, str(run_config), str(path))


def checkpoint_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the segmenter's state dict from a training checkpoint, the averaged one where the run averaged."""
    for name, state in checkpoint.get("callbacks", {}).items():
        if name.startswith(_AVERAGE) and state.get("average"):
            return _under("module.", state["average"])
    return _under(_SEGMENTER, checkpoint["state_dict"])


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix).replace("_orig_mod.", ""): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def _config_of_run(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Return the arguments of a run's segmenter by its ``config.yaml``, None where there is no such file.

    Raises:
        WeightsError: the run started from other weights, whose normalisation the config does not say.
    """
    if not path.is_file():
        return None
    student = OmegaConf.to_container(OmegaConf.load(path)).get("student")  # type: ignore[union-attr]
    if not isinstance(student, dict):
        return None
    if student.get("weights") not in _FRESH_STARTS:
        raise WeightsError(
            f"{path} does not tell the normalisation of a run that started from {student['weights']}, and neither does "
            "its checkpoint; give the folder student/ or model/ that the run saved"
        )
    asked = {key: student[key] for key in ("backbone", "head", "head_width") if student.get(key) is not None}
    return asked | (infer_config(shapes_of(tensors)) or {"num_classes": len(tensors["head.classifier.bias"])})
