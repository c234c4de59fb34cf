"""Segmenters from folders, with one clear message where that fails."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from transkd.errors import WeightsError
from transkd.models.segmenter import Segmenter
from transkd.models.weights import (
    CONFIG_FILE,
    FOLDER_HOLDS,
    WEIGHTS_FILE,
    file_shapes,
    load_weights,
    state_shapes,
    tensor_differences,
)

RUN_SUBFOLDERS = ("student", "model")
HOW_TO_GET_WEIGHTS = (
    "train a teacher with `transkd-train +experiment=..._teacher`, then set teacher.weights=RUN/model, "
    "where RUN is the folder of that run"
)


def load_segmenter(source: str | Path, *, backbone: str | None = None, num_classes: int | None = None) -> Segmenter:
    """Load a segmenter from a folder, in evaluation mode.

    Args:
        source: a folder that ``save_pretrained`` wrote (``config.json`` and ``model.safetensors``), or the
            folder of a training run, which holds one as ``student/`` or ``model/``.
        backbone: the backbone that it has to have; None takes any.
        num_classes: the number of classes that it has to have; None takes any.

    Raises:
        WeightsError: there are no such weights, they are damaged, or they are of another segmenter.
    """
    folder = _segmenter_folder(Path(source).expanduser())
    config = _read_config(folder / CONFIG_FILE)
    segmenter = _build(config, folder)
    _check_expected(folder, config, {"backbone": backbone, "num_classes": num_classes})
    load_weights(segmenter, folder / WEIGHTS_FILE)
    return segmenter.eval()


def _segmenter_folder(source: Path) -> Path:
    if not source.exists():
        raise WeightsError(f"there are no weights at {source}: no such path; {HOW_TO_GET_WEIGHTS}")
    if not source.is_dir():
        raise WeightsError(f"{source} is a file; give the folder, which holds {FOLDER_HOLDS}")
    for folder in (source, *(source / name for name in RUN_SUBFOLDERS)):
        if (folder / CONFIG_FILE).is_file():
            return folder
    raise WeightsError(
        f"{source} holds no segmenter: neither it nor its {'/ or '.join(RUN_SUBFOLDERS)}/ has "
        f"{FOLDER_HOLDS}; {HOW_TO_GET_WEIGHTS}"
    )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON ({error}); copy or download it again") from error
    known = set(signature(Segmenter.__init__).parameters) - {"self"}
    if not isinstance(config, dict) or not {"backbone", "num_classes"} <= set(config) <= known:
        raise WeightsError(
            f"{path} is not the config of a transkd segmenter, which has the keys "
            f"{', '.join(sorted(known))}; give a folder that save_pretrained or a training run wrote"
        )
    return config


def _build(config: dict[str, Any], folder: Path) -> Segmenter:
    try:
        return Segmenter(**config)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{folder / CONFIG_FILE} describes no segmenter of this version: {error}") from error


def _check_expected(folder: Path, config: dict[str, Any], expected: dict[str, Any]) -> None:
    wrong = {key: value for key, value in expected.items() if value is not None and value != config[key]}
    if not wrong:
        return
    with torch.device("meta"):
        wanted = Segmenter(**{"backbone": config["backbone"], "num_classes": config["num_classes"], **wrong})
    differences = tensor_differences(state_shapes(wanted), file_shapes(folder / WEIGHTS_FILE))
    mismatch = " and ".join(f"{key} {config[key]}, not {value}" for key, value in wrong.items())
    raise WeightsError(f"{folder} has {mismatch}: {differences}; give other weights, or ask for what these are")
