"""Names and colours for what a model predicts, and the size that its training run used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from transkd.data.classes import ClassSet
from transkd.data.datasets import available_datasets, classes_of, get_layout
from transkd.errors import ConfigError, TransKDError, did_you_mean
from transkd.evaluation.class_match import plain_name
from transkd.evaluation.pictures import Colour
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel
from transkd.prediction.drawing import Classes, class_names, colours_by_name, distinct_colours
from transkd.runs.folder import config_of_run, input_size_of_run

OWN = "folder"


def named_classes(name: str) -> ClassSet:
    """Return the classes of a dataset, or of a class file of one's own.

    Args:
        name: a dataset's name, or the path of a YAML file as a dataset of one's own has it.

    Raises:
        ConfigError: there is no such dataset or file.
        DataError: the file is wrong.
    """
    if Path(name).suffix.lower() in (".yaml", ".yml"):
        if not Path(name).is_file():
            raise ConfigError(f"there is no file {name}")
        return classes_of(OWN, Path.cwd(), classes=name)
    classes = get_layout(name).classes if name in available_datasets() else None
    if classes is None:
        known = [dataset for dataset in available_datasets() if get_layout(dataset).classes is not None]
        raise ConfigError(f"there is no dataset '{name}', and no YAML file; {did_you_mean(name, known)}")
    return classes


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
        return _padded(named_classes(named), count, f"classes={named}")
    names = class_names(model.class_names, count)
    own: tuple[Colour, ...] | None = getattr(model, "palette", None)
    if own is not None and len(own) == count:
        return Classes(names, own)
    found = None if model.class_names is None else colours_by_name(names, _legends(source))
    return Classes(names, found or distinct_colours(count))


def renamed(model: Segmenter | ExportedModel, shown: Classes) -> str | None:
    """Say where classes are shown under other names than the model has for them; None where they are not."""
    own = model.class_names
    if own is None:
        return None
    number = next((place for place, pair in enumerate(zip(own, shown.names, strict=False)) if _differ(*pair)), None)
    if number is None:
        return None
    return f"the model's class {number} is {own[number]}, which is shown as {shown.names[number]}, and so may be others"


def _differ(one: str, other: str) -> bool:
    return plain_name(one) != plain_name(other)


def size_of_run(source: str) -> tuple[int, Path] | None:
    """Return the short side that a model's training run resized images to, and the config that says so."""
    found = input_size_of_run(source)
    if found is None:
        return None
    size, path = found
    return (size if isinstance(size, int) else min(size)), path


def _padded(classes: ClassSet, count: int, what: str) -> Classes:
    """Return a class set for a model with as many outputs, or one more, as TransKD's released ones have."""
    if count == classes.num_classes:
        return Classes(classes.names, classes.palette)
    if count == classes.num_classes + 1:
        return Classes((*classes.names, "ignore"), (*classes.palette, (0, 0, 0)))
    raise ConfigError(f"{what} has {classes.num_classes} classes, but the model has {count} outputs")


def _legends(source: str) -> list[Mapping[str, Colour]]:
    sets = [get_layout(name).classes for name in available_datasets()]
    found = [_classes_of_run(source), *sets]
    return [dict(zip(each.names, each.palette, strict=True)) for each in found if each is not None]


def _classes_of_run(source: str) -> ClassSet | None:
    """Return the classes of the dataset that a run's config names, where it still lies there."""
    found = config_of_run(source)
    if found is None:
        return None
    data = found[0].get("data", {})
    try:
        return classes_of(str(data["name"]), str(data["root"]), **dict(data.get("options") or {}))
    except (TransKDError, KeyError, TypeError, OSError):
        return None
