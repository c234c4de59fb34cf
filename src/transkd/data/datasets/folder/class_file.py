"""Classes as people write them: ``classes.yaml``, or ``data.options.classes``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.colour_masks import Colour, MaskKind, MaskReader
from transkd.data.datasets.voc2012 import voc_colours
from transkd.data.labels import lookup_table
from transkd.errors import ConfigError, DataError

CLASS_FILES = ("classes.yaml", "classes.yml")
OPTION = "data.options.classes"
HOW_TO_WRITE = (
    "Write ROOT/classes.yaml, a line a class in the order of the ids 0, 1, 2, ...: '- road' (masks of ids), or "
    "'road: [128, 64, 128]' (masks of colours). Ignored pixels: a line 'ignore: [255]' or "
    "'ignore: [[0, 0, 0]]', among lines with a dash '- ignore: [255]'. "
    f"Or give the names in the config: {OPTION}=[road,car]"
)
_KEYS = {"id", "colour", "color"}
_MEANS_IGNORE = {"ignore", "ignored", "ignore_index", "ignore_label"}


@dataclass(frozen=True)
class ClassTable:
    """What a class file declares.

    Attributes:
        names: one a class, in order.
        ids: the id in mask files, one a class.
        colours: one a class, None where the file gives none.
        ignored_ids: ids of ignored pixels.
        ignored_colours: colours of ignored pixels.
        default_ignore: whether the file does not say what is ignored, so that 255 is.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    colours: tuple[Colour | None, ...]
    ignored_ids: tuple[int, ...]
    ignored_colours: tuple[Colour, ...]
    default_ignore: bool

    def class_set(self) -> ClassSet:
        """Return the classes; one without a colour gets one of VOC's that no other class has."""
        taken = set(self.colours)
        free = (colour for colour in voc_colours(2 * 256)[1:] if colour not in taken)
        return ClassSet(self.names, tuple(colour or next(free) for colour in self.colours))

    def reader(self, kind: MaskKind) -> MaskReader:
        """Return the reader of the masks."""
        known = {file_id: index for index, file_id in enumerate(self.ids)}
        ignored = dict.fromkeys((*self.ignored_ids, *([IGNORE_INDEX] if self.default_ignore else [])), IGNORE_INDEX)
        coloured = [(colour, index) for index, colour in enumerate(self.colours) if colour is not None]
        coloured += [(colour, IGNORE_INDEX) for colour in self.ignored_colours]
        default_ignore = self.default_ignore and IGNORE_INDEX not in self.ids
        return MaskReader(lookup_table(ignored | known), tuple(coloured), self.names, kind, default_ignore)


def read_class_table(root: Path, classes: object) -> ClassTable:
    """Read the classes from an option, or else from the root's class file.

    Args:
        root: the dataset's folder.
        classes: names, a mapping, or a file's path (absolute, below the root or below the current folder); None
            for ``classes.yaml`` in the root.

    Raises:
        ConfigError: if classes in the option make no sense.
        DataError: if the file is missing or wrong; says what and how to write it.
    """
    if classes is not None and not isinstance(classes, str):
        try:
            return parse_classes(classes)
        except WrongClassesError as error:
            raise ConfigError(f"{OPTION}: {error}. {HOW_TO_WRITE}") from None
    if classes is not None:
        paths = [root / Path(classes).expanduser(), Path(classes).expanduser()]
    else:
        paths = [root / name for name in CLASS_FILES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        where = f"{OPTION}={classes}: there is no such file" if classes else f"{root} holds no {CLASS_FILES[0]}"
        raise DataError(f"{where}, so that the classes are unknown. {HOW_TO_WRITE}")
    try:
        return parse_classes(OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    except WrongClassesError as error:
        raise DataError(f"{path}: {error}. {HOW_TO_WRITE}") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not readable YAML ({' '.join(str(error).split())}). {HOW_TO_WRITE}") from error


class WrongClassesError(Exception):
    """What is wrong with classes, as a clause."""


def parse_classes(content: object) -> ClassTable:
    """Read classes from the content of a YAML file or a config.

    Args:
        content: a list of names or entries, or a mapping from names to ids, colours or entries, or from ids to
            names; an entry is a mapping with ``id`` and ``color``. What is ignored is under the key ``ignore``.

    Raises:
        WrongClassesError: if they make no sense.
    """
    ignore: object = None
    if isinstance(content, Mapping):
        ignore = content.get("ignore")
        content = {key: value for key, value in content.items() if key != "ignore"}
    elif isinstance(content, list | tuple):
        marks = [item for item in content if isinstance(item, Mapping) and set(item) == {"ignore"}]
        ignore = [value for mark in marks for value in _as_list(mark["ignore"])] if marks else None
        content = [item for item in content if item not in marks]
    entries = [(_name(name), *_id_and_colour(name, value)) for name, value in _items(content)]
    if not 1 <= len(entries) <= 254:
        raise WrongClassesError(f"there are {len(entries)} classes; give 1 to 254")
    names, ids, colours = zip(*entries, strict=True)
    if len({file_id is None for file_id in ids}) > 1:
        raise WrongClassesError("some classes have an id and some do not; give all of them one, or none")
    if _is_colour(ignore) and any(colours):
        raise WrongClassesError(f"ignore: {ignore} are three ids; the colour is written [{ignore}]")
    file_ids = tuple(index if file_id is None else file_id for index, file_id in enumerate(ids))
    ignored = [] if ignore is None else _as_list(ignore)
    ignored_ids = tuple(_id(item) for item in ignored if _is_int(item))
    ignored_colours = tuple(_colour(item, "ignore") for item in ignored if not _is_int(item))
    _refuse_repeated("the name", names)
    _refuse_repeated("the id", [*file_ids, *ignored_ids])
    _refuse_repeated("the colour", [list(colour) for colour in (*colours, *ignored_colours) if colour])
    return ClassTable(names, file_ids, colours, ignored_ids, ignored_colours, default_ignore=ignore is None)


def _items(content: object) -> Iterator[tuple[object, object]]:
    """Yield each class's name, and its id, its colour, a mapping of both, or None where a list gives the name alone."""
    if isinstance(content, Mapping):
        if "name" in content and set(content) <= {"name", *_KEYS}:
            yield content["name"], {key: value for key, value in content.items() if key != "name"}
        elif all(str(key).isdigit() and isinstance(value, str) for key, value in content.items()):
            yield from ((name, int(key)) for key, name in content.items())
        else:
            empty = next((name for name, value in content.items() if value is None), None)
            if empty is not None:
                raise WrongClassesError(f"'{empty}' has no id or colour (YAML reads # as a comment: write '#804080')")
            yield from content.items()
    elif isinstance(content, list | tuple):
        for item in content:
            yield from _items(item) if isinstance(item, Mapping) else [(item, None)]
    else:
        raise WrongClassesError("this is not a list of class names or a mapping from names to colours")


def _name(name: object) -> str:
    if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
        raise WrongClassesError(f"{name!r} is not the name of a class; write it in quotes")
    if str(name).lower() in _MEANS_IGNORE:
        raise WrongClassesError(f"'{name}' would be a class that is learned; ignored ids are written 'ignore: [255]'")
    return str(name).strip()


def _id_and_colour(name: object, value: object) -> tuple[int | None, Colour | None]:
    if isinstance(value, Mapping) and set(value) <= _KEYS:
        colour = value.get("colour", value.get("color"))
        return (_id(value["id"]) if "id" in value else None), (None if colour is None else _colour(colour, name))
    if _is_int(value):
        return _id(value), None
    return None, None if value is None else _colour(value, name)


def _as_list(ignored: object) -> Sequence[object]:
    return ignored if isinstance(ignored, list | tuple) else [ignored]


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _id(value: object) -> int:
    if not _is_int(value) or not 0 <= value <= 255:
        raise WrongClassesError(f"the id {value} is not between 0 and 255")
    return value


def _is_colour(value: object) -> TypeGuard[Sequence[int]]:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3 and all(map(_is_int, value))


def _colour(value: object, name: object) -> Colour:
    channels: Sequence[int] = ()
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        channels = bytes.fromhex(value[1:])
    elif _is_colour(value):
        channels = value
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise WrongClassesError(
            f"{name}: {value!r} is not a colour; write [red, green, blue], 0 to 255 each, or '#rrggbb'"
        )
    red, green, blue = channels
    return red, green, blue


def _refuse_repeated(what: str, values: Sequence[object]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise WrongClassesError(f"{what} {value} occurs twice")
