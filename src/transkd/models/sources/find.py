"""From what a user names to the segmenter that is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from transkd.errors import WeightsError, did_you_mean
from transkd.models.segmenter import Segmenter
from transkd.models.sources.found import Found
from transkd.models.sources.ours import (
    RUN_SUBFOLDERS,
    config_keys,
    found_in_checkpoint,
    found_in_place,
    is_our_config,
    is_training_checkpoint,
)
from transkd.models.sources.places import Folder, Place, Repository
from transkd.models.sources.published import (
    classifier_refused,
    found_bare,
    found_transformers,
    is_transformers_segmenter,
    transformers_arguments,
)
from transkd.models.weights import (
    CONFIG_FILE,
    FOLDER_HOLDS,
    first_few,
    read_content,
    read_json,
    saved_config,
    shard_names,
    state_of,
)


def load_segmenter(source: str | Path, *, backbone: str | None = None, num_classes: int | None = None) -> Segmenter:
    """Load a segmenter from any form that SegFormers and TransKD's networks are published in, in evaluation mode.

    What the source is shows in its content, never in its name; so do architecture and number of classes:

    - a folder or hub repository that ``save_pretrained`` wrote, or the folder of a training run, which holds one
      as ``student/`` or ``model/``;
    - a SegFormer of transformers, as a folder, a hub id (``nvidia/segformer-b2-finetuned-cityscapes-1024-1024``) or
      a file, safetensors or pickled, sharded or not, in the layout of any version of transformers; mean, standard
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


HOW_TO_GET_WEIGHTS = (
    "give the folder, file or hub id of a segmenter; `transkd-train +experiment=..._teacher` trains one and leaves it "
    "in RUN/model, a distillation in RUN/student"
)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def find_segmenter(source: str | PathLike[str]) -> Found:
    """Return the segmenter at ``source``, told by what is there; see ``transkd.load_segmenter``.

    Raises:
        WeightsError: there is none, or it cannot be read.
    """
    if not isinstance(source, str | PathLike):
        raise WeightsError(f"a segmenter is loaded from a path or a hub id, not from a {type(source).__name__}")
    try:
        return _find(source)
    except OSError as error:  # folders that may not be looked into, names that no disk takes
        raise WeightsError(f"{str(source)[:200]} cannot be read: {error.strerror or error}") from error


def _find(source: str | PathLike[str]) -> Found:
    path = Path(source).expanduser()
    if path.is_dir():
        return _in_folder(path, str(source))
    if path.exists():
        return _in_file(path, str(source))
    if _HUB_ID.fullmatch(str(source)) and path.suffix not in _WEIGHTS_SUFFIXES:
        if path.parent.is_dir():
            raise WeightsError(_no_such_name(path))
        return _on_hub(str(source))
    raise WeightsError(f"there are no weights at {source}: no such path; {HOW_TO_GET_WEIGHTS}")


def _no_such_name(path: Path) -> str:
    """Say that a folder of this machine lacks a name, which is likelier meant than a repository of the same owner."""
    inside = sorted(one.name for one in path.parent.iterdir() if not one.name.startswith("."))
    close = did_you_mean(path.name, inside)
    hint = f"it holds {first_few(inside, 5) or 'nothing'}" if close.startswith("known") else close
    return (
        f"there are no weights at {path}: the folder {path.parent} is here and has no {path.name}; {hint} "
        f"(the hub is asked only where there is no folder {path.parent})"
    )


def _on_hub(repo_id: str) -> Found:
    repository = Repository(repo_id)
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
    return _by_config(repository, config, repo_id)


def _in_folder(folder: Path, source: str) -> Found:
    runs = [path for path in (folder / name for name in RUN_SUBFOLDERS) if (path / CONFIG_FILE).is_file()]
    places = [folder] if (folder / CONFIG_FILE).is_file() else runs
    if len(places) > 1:
        raise WeightsError(f"{folder} holds several segmenters: choose one of {', '.join(map(str, places))}")
    if places:
        return _by_config(Folder(places[0]), places[0] / CONFIG_FILE, source)
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS_SUFFIXES)
    if len(files) == 1:
        return _in_file(files[0], source)
    if files:
        raise WeightsError(
            f"{folder} holds several files of weights and no {CONFIG_FILE}: choose one of them, "
            f"{first_few([path.name for path in files], 5)}"
        )
    raise _nothing_in(folder)


def _nothing_in(folder: Path) -> WeightsError:
    checkpoints = sorted(str(path) for path in (folder / "checkpoints").glob("*.ckpt"))
    if checkpoints:
        return WeightsError(
            f"{folder} is a run that has not finished and saved no segmenter yet; choose one of its checkpoints: "
            f"{', '.join(checkpoints)}"
        )
    empty = " is empty:" if not any(folder.iterdir()) else ""
    return WeightsError(
        f"{folder}{empty} holds no segmenter: neither it nor its {'/ or '.join(RUN_SUBFOLDERS)}/ has "
        f"{FOLDER_HOLDS}; {HOW_TO_GET_WEIGHTS}"
    )


def _by_config(place: Place, path: Path, source: str) -> Found:
    """Return the segmenter that the config of a place at ``path`` describes."""
    config = read_json(path)
    if is_our_config(config):
        return found_in_place(place, config, source)
    if config.get("model_type") == "segformer":
        return found_transformers(place, config, source)
    raise _foreign_config(config, place.name, path)


def _foreign_config(config: Mapping[str, Any], where: str, path: Path) -> WeightsError:
    if "architecture" in config and ("pretrained_cfg" in config or "num_features" in config):
        return classifier_refused(where, f"a classifier of timm ({config['architecture']})", config["architecture"])
    if "model_type" in config:
        return WeightsError(
            f"{path} is of a model of transformers called {config['model_type']}; of transformers' models only "
            "segformer can be loaded"
        )
    return WeightsError(
        f"{path} is not the config of a transkd segmenter, which has the keys {', '.join(sorted(config_keys()))}; "
        "give a folder that save_pretrained or a training run wrote"
    )


def _in_file(path: Path, source: str) -> Found:
    _refuse_shard(path)
    content = read_content(path)
    if is_training_checkpoint(content):
        return found_in_checkpoint(content, path, source)
    state = state_of(content, str(path))
    return found_bare(state, content, str(path), _config_inside(path) or _config_beside(path, state))


def _config_inside(path: Path) -> dict[str, Any] | None:
    config = saved_config(path)
    return config if config is not None and is_our_config(config) else None


def _config_beside(path: Path, state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a segmenter's arguments by the config in the file's folder, None where it has none of the same kind."""
    beside = Folder(path.parent).find(CONFIG_FILE)
    if beside is None:
        return None
    config = read_json(beside)
    if is_our_config(config) and "head.classifier.weight" in state:
        return config
    if config.get("model_type") == "segformer" and is_transformers_segmenter(state):
        return transformers_arguments(Folder(path.parent), config)
    return None


def _refuse_shard(path: Path) -> None:
    for index in path.parent.glob("*.index.json"):
        if path.name in (names := shard_names(index)):
            raise WeightsError(
                f"{path} is one of the {len(names)} files of a sharded model; give its folder, {path.parent}"
            )
