"""From what a user names to the segmenter that is there: a folder, a repository of the hub, or a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from transkd.errors import WeightsError, did_you_mean, first_few
from transkd.models.backbones import find_backbone
from transkd.models.formats.published import from_transformers, has_transformers_segmenter, segmenter_tensors
from transkd.models.formats.recognise import infer_config, no_segmenter
from transkd.models.formats.transformers import segmenter_config
from transkd.models.hub import find_file, read_weights
from transkd.models.segmenter import Segmenter, filled_segmenter
from transkd.models.weights import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    read_content,
    read_json,
    saved_config,
    state_of,
)

PROCESSOR_FILE = "preprocessor_config.json"
RUN_SUBFOLDERS = ("student", "model")
HOW_TO_GET_WEIGHTS = (
    "give the folder, file or hub id of a segmenter; `transkd-train +experiment=..._teacher` trains one and leaves it "
    "in RUN/model, a distillation in RUN/student"
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def load_segmenter(source: str | Path, *, backbone: str | None = None, num_classes: int | None = None) -> Segmenter:
    """Load a segmenter from any form that SegFormers and TransKD's networks are published in, in evaluation mode.

    The form is recognised by the content, never by the name; so are architecture and number of classes:

    - a folder or hub repository that ``save_pretrained`` wrote, or the folder of a training run, which holds one
      as ``student/`` or ``model/``;
    - a SegFormer of transformers, as a folder, a hub id (``nvidia/segformer-b2-finetuned-cityscapes-1024-1024``) or
      a file, safetensors or pickled, sharded or not, under the names of any version of transformers; mean, standard
      deviation and label names come along, and so does the layer norms' epsilon, so that the logits are the same;
    - a ``.pth`` of NVlabs' SegFormer (mmsegmentation 0.x), with its class names;
    - a ``.pth`` that TransKD released: a student with or without adapters, or a teacher (SegFormer, PVTv2, LVT);
    - a checkpoint of a training run of ours, averaged weights where the run averaged.

    Pickles are read as tensors and plain values only: nothing in them is executed.

    Args:
        source: a folder, a file or the id of a repository of the Hugging Face hub.
        backbone: the backbone that it has to have; None takes any.
        num_classes: the number of classes that it has to have; None takes any.

    Raises:
        ConfigError: there is no ``backbone`` of that name.
        WeightsError: there are no such weights, they are damaged, or they are of another segmenter or of none; the
            message says what they seem to be.

    Example:
        >>> teacher = load_segmenter("nvidia/segformer-b2-finetuned-cityscapes-1024-1024")
        >>> student = load_segmenter("runs/camvid/student", backbone="mit_b0")
    """
    if not isinstance(source, str | PathLike):
        raise WeightsError(f"a segmenter is loaded from a path or a hub id, not from a {type(source).__name__}")
    if backbone is not None:
        find_backbone(backbone)
    try:
        found = _find(source)
    except OSError as error:  # a folder without permission, a name that no disk takes
        raise WeightsError(f"{str(source)[:200]} cannot be read: {error.strerror or error}") from error
    expected = {"backbone": backbone, "num_classes": num_classes}
    if wrong := [
        f"{key} {found.config.get(key)}, not {value}"
        for key, value in expected.items()
        if value not in (None, found.config.get(key))
    ]:
        raise WeightsError(
            f"{found.tensors_from} has {' and '.join(wrong)}; give other weights, or request what these are"
        )
    return filled_segmenter(*found)


class Found(NamedTuple):
    """A segmenter's arguments and state dict, and where each was read, for messages."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    config_from: str
    tensors_from: str


def _find(source: str | PathLike[str]) -> Found:
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return _in_file(path)
    if not _HUB_ID.fullmatch(str(source)) or path.suffix in _WEIGHTS_SUFFIXES:
        raise WeightsError(f"there are no weights at {source}: no such path; {HOW_TO_GET_WEIGHTS}")
    if path.parent.is_dir():  # likelier a mistyped path than a repository of an owner of that name
        hint = did_you_mean(path.name, (one.name for one in path.parent.iterdir()))
        raise WeightsError(f"there are no weights at {path}: the folder {path.parent} has no {path.name}; {hint}")
    return _by_config(str(source))


def _in_folder(folder: Path) -> Found:
    subfolders = [path for path in (folder / name for name in RUN_SUBFOLDERS) if (path / CONFIG_FILE).is_file()]
    folders = [folder] if (folder / CONFIG_FILE).is_file() else subfolders
    if len(folders) == 1:
        return _by_config(folders[0])
    if folders:
        raise WeightsError(f"{folder} holds several segmenters: choose one of {', '.join(map(str, folders))}")
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS_SUFFIXES)
    if len(files) == 1:
        return _in_file(files[0])
    if files:
        names = first_few((path.name for path in files), 5)
        raise WeightsError(f"{folder} holds several files of weights and no {CONFIG_FILE}: choose one of them, {names}")
    if checkpoints := sorted(str(path) for path in (folder / "checkpoints").glob("*.ckpt")):
        raise WeightsError(
            f"{folder} is a run that has not finished and saved no segmenter yet; choose one of its checkpoints: "
            f"{', '.join(checkpoints)}"
        )
    raise WeightsError(
        f"{folder} holds no segmenter: neither it nor its {'/ or '.join(RUN_SUBFOLDERS)}/ has {CONFIG_FILE} and "
        f"{WEIGHTS_FILE}; {HOW_TO_GET_WEIGHTS}"
    )


def _by_config(folder: Path | str) -> Found:
    """Return the segmenter that the ``config.json`` of a folder or of a hub repository describes."""
    try:
        path = find_file(folder, CONFIG_FILE)
    except WeightsError as error:
        raise WeightsError(
            f"there are no weights at {folder}: no such path, and {error}, or of a folder with all its files"
        ) from error
    if path is None:
        raise WeightsError(
            f"the Hugging Face repository {folder} has no {CONFIG_FILE}, so nothing that can be loaded by its id; "
            "download its file of weights and give the path of that"
        )
    config, described = read_json(path), f"{folder}/{CONFIG_FILE}"
    if is_segmenter_config(config):
        return Found(config, read_weights(folder), described, f"{folder}/{WEIGHTS_FILE}")
    if config.get("model_type") == "segformer":
        arguments, state = _transformers_arguments(folder, config), read_weights(folder)
        if not has_transformers_segmenter(state):
            raise no_segmenter(state, folder)
        return Found(arguments, from_transformers(state), described, str(folder))
    if "architecture" in config and "pretrained_cfg" in config:  # timm's
        raise no_segmenter(read_weights(folder), folder)
    if "model_type" in config:
        raise WeightsError(
            f"{path} is of a model of transformers called {config['model_type']}; of transformers' models only "
            "segformer can be loaded"
        )
    raise WeightsError(
        f"{path} is not the config of a transkd segmenter, which has the keys {', '.join(sorted(_config_keys()))}; "
        "give a folder that save_pretrained or a training run wrote"
    )


def _in_file(path: Path) -> Found:
    content = read_content(path)
    tensors, known = segmenter_tensors(content, str(path))
    described = known if "backbone" in known else _described(path, state_of(content, str(path)))
    config = described or infer_config(tensors)
    if config is None:
        raise WeightsError(
            f"{path} holds a segmenter whose architecture its tensors alone do not tell: put its config.json beside it"
        )
    if len(known.get("class_names") or ()) != config["num_classes"]:
        known = {key: value for key, value in known.items() if key != "class_names"}
    return Found({**known, **config}, tensors, "its own config" if described else "its own names and shapes", str(path))


def _described(path: Path, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Return a segmenter's arguments by the config in its file or beside it, None where there is none of its kind."""
    beside = find_file(path.parent, CONFIG_FILE)
    for config in (saved_config(path), {} if beside is None else read_json(beside)):
        if is_segmenter_config(config) and "head.classifier.weight" in state:
            return config
        if config.get("model_type") == "segformer" and has_transformers_segmenter(state):
            return _transformers_arguments(path.parent, config)
    return None


def is_segmenter_config(config: Mapping[str, Any]) -> bool:
    """Return whether a ``config.json`` is that of a :class:`Segmenter`."""
    return {"backbone", "num_classes"} <= set(config) <= _config_keys()


def _config_keys() -> set[str]:
    return set(signature(Segmenter.__init__).parameters) - {"self"}


def _transformers_arguments(folder: Path | str, config: Mapping[str, Any]) -> dict[str, Any]:
    processor = find_file(folder, PROCESSOR_FILE)
    return segmenter_config(config, {} if processor is None else read_json(processor), str(folder))
