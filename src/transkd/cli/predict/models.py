"""The segmenters of ``transkd-predict``: loaded, with input sizes, windows, and names and colours of classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from transkd.cli.inference import NEEDS_CROP, find_device, logits_function
from transkd.cli.predict.config import PredictConfig
from transkd.data.classes import ClassSet
from transkd.data.datasets import available_datasets, classes_of, get_layout, named_classes
from transkd.errors import ConfigError, TransKDError
from transkd.evaluation.class_match import plain_name
from transkd.evaluation.inference import Inference
from transkd.evaluation.pictures import Colour
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel, load_model
from transkd.options import SMALLEST_SIDE
from transkd.prediction.drawing import Classes, Drawer, class_names, colours_by_name, distinct_colours
from transkd.prediction.network import Network, Size
from transkd.prediction.outputs import Model
from transkd.runs.folder import config_of_run, input_size_of_run

GENERIC_FOLDERS = ("student", "model")
MOST_IDS = 256


def load_predictors(config: PredictConfig) -> tuple[list[Model], list[str]]:
    """Load the model and the second one.

    Args:
        config: what was asked for.

    Returns:
        The model, and the second one where there is one; and notes on what was chosen for them.

    Raises:
        ConfigError: a model cannot give what was asked for.
        WeightsError: a model cannot be loaded.
    """
    device = find_device(config.device)
    notes: list[str] = []
    sources = [config.model, *([] if config.model2 is None else [config.model2])]
    return [load_predictor(config, source, device, notes) for source in sources], notes


def load_predictor(config: PredictConfig, source: str, device: torch.device, notes: list[str]) -> Model:
    """Load one model, and add to ``notes`` what was chosen for it."""
    model = load_model(source, threads=config.threads)
    gives_logits = isinstance(model, Segmenter) or model.result == "logits"
    if not gives_logits and (wanting := needs_scores(config)):
        raise ConfigError(
            f"{source} gives classes without scores, which {' and '.join(wanting)} need: export it again with "
            "result=logits, or use the model that it was made from"
        )
    if "ids" in config.kinds and model.num_classes > MOST_IDS:
        raise ConfigError(f"{source} has {model.num_classes} classes, but ids are written with 8 bits a pixel")
    size, least = sizes_of(config, source, model, notes)
    network = Network(
        logits_function(model, device, config.precision) if gives_logits else None,
        model.predict,
        device if isinstance(model, Segmenter) else torch.device("cpu"),
        size=size,
        least=least,
        views=views_of(config, source, size, notes),
        batch_size=config.batch_size,
        confidence="confidence" in config.kinds and source == config.model,
    )
    classes = classes_for(model, source, config.classes)
    if config.classes is not None and (change := renamed(model, classes)):
        notes.append(f"classes={config.classes}: {change} ({source})")
    return Model(network, Drawer(title(source), classes, config.opacity, config.legend))


def needs_scores(config: PredictConfig) -> list[str]:
    """Name what was asked for that classes alone cannot give."""
    scales = f"scales=[{','.join(f'{scale:g}' for scale in config.scales)}]"
    asked = {
        "confidences": "confidence" in config.kinds,
        "inference=slide": config.inference == "slide",
        scales: config.scales != [1.0],
        "flip=true": config.flip,
    }
    return [what for what, is_asked in asked.items() if is_asked]


def views_of(config: PredictConfig, source: str, size: Size, notes: list[str]) -> Inference:
    """Return windows, scales and flip, and note the windows where the config leaves them to the size."""
    views = config.views(size)
    if config.inference == "whole":
        return views
    if views.crop is None or views.steps is None:
        raise ConfigError(NEEDS_CROP)
    if any(step > side for side, step in zip(views.crop, views.steps, strict=True)):
        raise ConfigError(f"stride={sides(views.steps)} leaves gaps between windows of {sides(views.crop)}")
    if config.crop is None:
        notes.append(f"{source} predicts by windows of {sides(views.crop)} pixels, {sides(views.steps)} apart")
    return views


def sizes_of(
    config: PredictConfig, source: str, model: Segmenter | ExportedModel, notes: list[str]
) -> tuple[Size, tuple[int, int]]:
    """Return what pictures are resized to, and the smallest size that the model takes."""
    size = None if config.size == "native" else config.size
    least = (SMALLEST_SIDE, SMALLEST_SIDE)
    only = None if isinstance(model, Segmenter) else model.size
    if only is not None:
        return only_size(config, source, only)
    if config.size is None and (run := input_size_of_run(source)):
        side = run[0] if isinstance(run[0], int) else min(run[0])
        notes.append(
            f"{source} sees images with a short side of {side} pixels, as {run[1]} says (size=native: as they are)"
        )
        return side, least
    return size, least


def only_size(config: PredictConfig, source: str, only: tuple[int, int]) -> tuple[Size, tuple[int, int]]:
    """Return sizes for a file that takes a single one."""
    shown = sides(only)
    if config.scales != [1.0]:
        raise ConfigError(f"{source} takes images of {shown} only, and scales are others: leave scales out")
    if config.inference == "slide":
        if config.crop != only:
            raise ConfigError(f"{source} takes images of {shown} only: use crop={shown}")
        return (None if config.size == "native" else config.size), only
    if config.size not in (None, only):
        raise ConfigError(f"{source} takes images of {shown} only: leave size out, or use inference=slide crop={shown}")
    return only, only


def sides(pair: tuple[int, int]) -> str:
    """Return two sides as the command line has them."""
    return f"[{pair[0]},{pair[1]}]"


def title(source: str) -> str:
    """Return what pictures call a model: the run's name for a run's folder, else the last part of its path."""
    path = Path(source)
    if path.name in GENERIC_FOLDERS:
        absolute = path.expanduser().absolute()
        return f"{absolute.parent.name}/{path.name}"
    return path.name


def classes_for(model: Segmenter | ExportedModel, source: str, named: str | None) -> Classes:
    """Name and colour a model's classes.

    Colours are, in this order, those of ``named``, of the model's file, of the dataset that it was trained on, of the
    dataset that has its class names, or distinct ones.

    Args:
        model: what predicts.
        source: where it was loaded from.
        named: see :func:`named_classes`; None where the model knows better.

    Raises:
        ConfigError: ``named`` has another number of classes than the model.
    """
    count = model.num_classes
    if named is not None:
        return padded(named_classes(named), count, f"classes={named}")
    names = class_names(model.class_names, count)
    own: tuple[Colour, ...] | None = getattr(model, "palette", None)
    if own is not None and len(own) == count:
        return Classes(names, own)
    found = None if model.class_names is None else colours_by_name(names, legends(source))
    return Classes(names, found or distinct_colours(count))


def renamed(model: Segmenter | ExportedModel, shown: Classes) -> str | None:
    """Return a note where classes are shown under other names than the model has for them; None where they are not."""
    own = model.class_names
    if own is None:
        return None
    number = next(
        (
            place
            for place, pair in enumerate(zip(own, shown.names, strict=False))
            if plain_name(pair[0]) != plain_name(pair[1])
        ),
        None,
    )
    if number is None:
        return None
    return f"the model's class {number} is {own[number]}, which is shown as {shown.names[number]}, and so may be others"


def padded(classes: ClassSet, count: int, what: str) -> Classes:
    """Return a class set for a model with as many outputs, or one more, as TransKD's released ones have."""
    if count == classes.num_classes:
        return Classes(classes.names, classes.palette)
    if count == classes.num_classes + 1:
        return Classes((*classes.names, "ignore"), (*classes.palette, (0, 0, 0)))
    raise ConfigError(f"{what} has {classes.num_classes} classes, but the model has {count} outputs")


def legends(source: str) -> list[Mapping[str, Colour]]:
    """Return name -> colour of the dataset that a model was trained on, and of all datasets."""
    sets = [get_layout(name).classes for name in available_datasets()]
    found = [classes_of_run(source), *sets]
    return [dict(zip(each.names, each.palette, strict=True)) for each in found if each is not None]


def classes_of_run(source: str) -> ClassSet | None:
    """Return the classes of the dataset that a run's config names, where it still lies there."""
    found = config_of_run(source)
    if found is None:
        return None
    data = found[0].get("data", {})
    try:
        return classes_of(str(data["name"]), str(data["root"]), **dict(data.get("options") or {}))
    except (TransKDError, KeyError, TypeError, OSError):
        return None
