"""From what a user names to the segmenter that is there: a folder, a repository of the hub, or a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

from transkd.errors import WeightsError, did_you_mean
from transkd.models.formats import to_segmenter_names
from transkd.models.formats.checkpoint import CHECKPOINT_CONFIG, checkpoint_weights, is_training_checkpoint
from transkd.models.formats.recognise import infer_config, no_segmenter
from transkd.models.formats.transformers import from_transformers, has_transformers_segmenter, segmenter_config
from transkd.models.segmenter import Segmenter
from transkd.models.sources.found import Found
from transkd.models.sources.hub import HubRepository, LocalFolder, ModelFolder, read_weights
from transkd.models.weights import (
    CONFIG_FILE,
    FOLDER_HOLDS,
    first_few,
    read_content,
    read_json,
    saved_config,
    shapes_of,
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

    What the source is shows in its content, never in its name; so do architecture and number of classes:

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
        WeightsError: there are no such weights, they are damaged, or they are of another segmenter or of none; the
            message says what they seem to be.

    Example:
        >>> teacher = load_segmenter("nvidia/segformer-b2-finetuned-cityscapes-1024-1024")
        >>> student = load_segmenter("runs/camvid/student", backbone="mit_b0")
    """
    return find_segmenter(source).build(backbone, num_classes)


def find_segmenter(source: str | PathLike[str]) -> Found:
    """Return the segmenter at ``source``, not yet built; see :func:`load_segmenter`.

    Raises:
        WeightsError: there is none, or it cannot be read.
    """
    if not isinstance(source, str | PathLike):
        raise WeightsError(f"a segmenter is loaded from a path or a hub id, not from a {type(source).__name__}")
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            return _in_folder(path)
        if path.exists():
            return _in_file(path)
        if not _HUB_ID.fullmatch(str(source)) or path.suffix in _WEIGHTS_SUFFIXES:
            raise WeightsError(f"there are no weights at {source}: no such path; {HOW_TO_GET_WEIGHTS}")
        if path.parent.is_dir():  # likelier a mistyped path than a repository of an owner of that name
            hint = did_you_mean(path.name, (one.name for one in path.parent.iterdir()))
            raise WeightsError(f"there are no weights at {path}: the folder {path.parent} has no {path.name}; {hint}")
        return _on_hub(str(source))
    except OSError as error:  # a folder without permission, a name that no disk takes
        raise WeightsError(f"{str(source)[:200]} cannot be read: {error.strerror or error}") from error


def _on_hub(repo_id: str) -> Found:
    repository = HubRepository(repo_id)
    try:
        config = repository.find(CONFIG_FILE)
    except WeightsError as error:
        raise WeightsError(
            f"there are no weights at {repo_id}: no such path, and {error}, or rather of a folder with all files "
            "of that repository"
        ) from error
    if config is None:
        raise WeightsError(
            f"the Hugging Face repository {repo_id} has no {CONFIG_FILE}, so nothing that can be loaded by its id; "
            "download its file of weights and give the path of that"
        )
    return _by_config(repository, config)


def _in_folder(folder: Path) -> Found:
    subfolders = [path for path in (folder / name for name in RUN_SUBFOLDERS) if (path / CONFIG_FILE).is_file()]
    folders = [folder] if (folder / CONFIG_FILE).is_file() else subfolders
    if len(folders) == 1:
        return _by_config(LocalFolder(folders[0]), folders[0] / CONFIG_FILE)
    if folders:
        raise WeightsError(f"{folder} holds several segmenters: choose one of {', '.join(map(str, folders))}")
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS_SUFFIXES)
    if len(files) == 1:
        return _in_file(files[0])
    if files:
        raise WeightsError(
            f"{folder} holds several files of weights and no {CONFIG_FILE}: choose one of them, "
            f"{first_few([path.name for path in files], 5)}"
        )
    if checkpoints := sorted(str(path) for path in (folder / "checkpoints").glob("*.ckpt")):
        raise WeightsError(
            f"{folder} is a run that has not finished and saved no segmenter yet; choose one of its checkpoints: "
            f"{', '.join(checkpoints)}"
        )
    raise WeightsError(
        f"{folder} holds no segmenter: neither it nor its {'/ or '.join(RUN_SUBFOLDERS)}/ has {FOLDER_HOLDS}; "
        f"{HOW_TO_GET_WEIGHTS}"
    )


def _by_config(folder: ModelFolder, path: Path) -> Found:
    """Return the segmenter that the ``config.json`` of a folder describes."""
    config = read_json(path)
    described = f"{folder.name}/{CONFIG_FILE}"
    if is_segmenter_config(config):
        tensors_from = f"{folder.name}/model.safetensors"
        return Found(config, read_weights(folder), described, tensors_from)
    if config.get("model_type") == "segformer":
        arguments = _transformers_arguments(folder, config)
        state = read_weights(folder)
        if not has_transformers_segmenter(state):
            raise no_segmenter(state, folder.name)
        return Found(arguments, from_transformers(state), described, folder.name)
    if "architecture" in config and "pretrained_cfg" in config:
        raise no_segmenter(read_weights(folder), folder.name)
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
    if is_training_checkpoint(content):
        config = content.get(CHECKPOINT_CONFIG)
        if not isinstance(config, Mapping):
            raise WeightsError(f"{path} is a training checkpoint that does not say what segmenter it is of")
        return Found(config, checkpoint_weights(content), f"'{CHECKPOINT_CONFIG}' of {path}", str(path))
    state = state_of(content, str(path))
    tensors, known = to_segmenter_names(state, content, str(path))
    described = _config_of(path, state)
    config = described or infer_config(shapes_of(tensors))
    if config is None:
        raise WeightsError(
            f"{path} holds a segmenter whose architecture its tensors alone do not tell: put its config.json beside it"
        )
    if len(known.get("class_names") or ()) != config["num_classes"]:
        known.pop("class_names", None)
    config_from = f"the config of {path}" if described else "its own names and shapes"
    return Found({**known, **config}, tensors, config_from, str(path))


def _config_of(path: Path, state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a segmenter's arguments by the config in its file or beside it, None where there is none of its kind."""
    inside = saved_config(path)
    if inside is not None and is_segmenter_config(inside):
        return inside
    folder = LocalFolder(path.parent)
    beside = folder.find(CONFIG_FILE)
    config = {} if beside is None else read_json(beside)
    if is_segmenter_config(config) and "head.classifier.weight" in state:
        return config
    if config.get("model_type") == "segformer" and has_transformers_segmenter(state):
        return _transformers_arguments(folder, config)
    return None


def is_segmenter_config(config: Mapping[str, Any]) -> bool:
    """Return whether a ``config.json`` is that of a :class:`Segmenter`."""
    return {"backbone", "num_classes"} <= set(config) <= _config_keys()


def _config_keys() -> set[str]:
    return set(signature(Segmenter.__init__).parameters) - {"self"}


def _transformers_arguments(folder: ModelFolder, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the segmenter that a transformers SegFormer's config and image processor describe."""
    processor = folder.find(PROCESSOR_FILE)
    try:
        return segmenter_config(config, None if processor is None else read_json(processor), folder.name)
    except WeightsError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{CONFIG_FILE} or {PROCESSOR_FILE} of {folder.name} is not valid: {error}") from error
