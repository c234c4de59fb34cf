"""Classes as people write them: ``classes.yaml``, or ``data.options.classes``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
_MEANS_IGNORE = {"ignore", "ignored", "ignore_index", "ignore_label"}


@dataclass(frozen=True)
class ClassTable:
    """What a class file declares."""

    names: tuple[str, ...]  # one a class, in order
    ids: tuple[int, ...]  # the id in mask files, one a class
    colours: tuple[Colour | None, ...]  # one a class, None where the file gives none
    # The ids and colours of ignored pixels; None where the file does not name them, so that 255 is.
    ignored: tuple[int | Colour, ...] | None

    def class_set(self) -> ClassSet:
        """Return the classes; one without a colour gets one of VOC's that no other class has."""
        free = (colour for colour in voc_colours(2 * 256)[1:] if colour not in self.colours)
        return ClassSet(self.names, tuple(colour or next(free) for colour in self.colours))

    def reader(self, kind: MaskKind) -> MaskReader:
        """Return the reader of the masks."""
        ignored = (IGNORE_INDEX,) if self.ignored is None else self.ignored
        ids = {value: IGNORE_INDEX for value in ignored if isinstance(value, int)}
        ids |= {file_id: index for index, file_id in enumerate(self.ids)}
        colours = [(colour, index) for index, colour in enumerate(self.colours) if colour is not None]
        colours += [(value, IGNORE_INDEX) for value in ignored if not isinstance(value, int)]
        default_ignore = self.ignored is None and IGNORE_INDEX not in self.ids
        return MaskReader(lookup_table(ids), tuple(colours), self.names, kind, default_ignore)


def read_class_table(root: Path, classes: object) -> ClassTable:
    """Read the classes from an option, or else from the root's class file.

    The option is names, a mapping, or a file's path (absolute, below the root or below the current folder).

    Raises:
        ConfigError: if classes in the option make no sense.
        DataError: if the file is missing or wrong; names the mistake and how to write it.
    """
    if classes is not None and not isinstance(classes, str):
        try:
            return parse_classes(classes)
        except WrongClassesError as error:
            raise ConfigError(f"{OPTION}: {error}. {HOW_TO_WRITE}") from None
    named = Path(classes or "").expanduser()
    paths = [root / named, named] if classes else [root / name for name in CLASS_FILES]
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

    It is a list of names or entries, or a mapping from names to ids, colours or entries, or from ids to names; an entry
    is a mapping with ``id`` and ``color``. What is ignored is under the key ``ignore``.

    Raises:
        WrongClassesError: if they make no sense.
    """
    entries = list(_items(content))
    marks = [value for name, value in entries if name == "ignore" and value is not None]
    entries = [(name, value) for name, value in entries if name != "ignore" or value is None]
    if not 1 <= len(entries) <= 254:
        raise WrongClassesError(f"there are {len(entries)} classes; give 1 to 254")
    names = tuple(_name(name) for name, _ in entries)
    ids, colours = zip(*(_id_and_colour(name, value) for name, value in entries), strict=True)
    if len({file_id is None for file_id in ids}) > 1:
        raise WrongClassesError("some classes have an id and some do not; give all of them one, or none")
    file_ids = tuple(range(len(ids))) if ids[0] is None else ids
    values = [value for mark in marks for value in (mark if isinstance(mark, list | tuple) else [mark])]
    if any(colours) and len(values) == 3 and all(isinstance(value, int) for value in values):
        raise WrongClassesError(f"ignore: {values} are three ids; the colour is written [{values}]")
    ignored = tuple(_id(value) if isinstance(value, int) else _colour(value, "ignore") for value in values)
    _refuse_repeated("name", names)
    _refuse_repeated("id", [*file_ids, *(value for value in ignored if isinstance(value, int))])
    _refuse_repeated("colour", [list(value) for value in (*colours, *ignored) if isinstance(value, tuple)])
    return ClassTable(names, file_ids, colours, ignored if marks else None)


def _items(content: object) -> Iterator[tuple[Any, Any]]:
    """Yield each class's name, and its id, its colour, a mapping of both, or None where a list gives the name alone."""
    if isinstance(content, list | tuple):
        for item in content:
            yield from _items(item) if isinstance(item, Mapping) else [(item, None)]
    elif not isinstance(content, Mapping):
        raise WrongClassesError("this is not a list of class names or a mapping from names to colours")
    elif "name" in content and content.keys() <= {"name", "id", "colour", "color"}:
        yield content["name"], {key: value for key, value in content.items() if key != "name"}
    else:
        for key, value in content.items():
            if value is None:
                raise WrongClassesError(f"'{key}' has no id or colour (YAML reads # as a comment: write '#804080')")
            yield (value, int(key)) if str(key).isdigit() and isinstance(value, str) else (key, value)


def _name(name: object) -> str:
    if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
        raise WrongClassesError(f"{name!r} is not the name of a class; write it in quotes")
    if str(name).lower() in _MEANS_IGNORE:
        raise WrongClassesError(f"'{name}' would be a class that is learned; ignored ids are written 'ignore: [255]'")
    return str(name).strip()


def _id_and_colour(name: object, value: Any) -> tuple[int | None, Colour | None]:
    if isinstance(value, Mapping) and value.keys() <= {"id", "colour", "color"}:
        colour = value.get("colour", value.get("color"))
        return (_id(value["id"]) if "id" in value else None), (None if colour is None else _colour(colour, name))
    if isinstance(value, int):
        return _id(value), None
    return None, None if value is None else _colour(value, name)


def _id(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise WrongClassesError(f"the id {value} is not between 0 and 255")
    return value


def _colour(value: Any, name: object) -> Colour:
    if isinstance(value, str) and re.fullmatch("#[0-9a-fA-F]{6}", value):
        value = list(bytes.fromhex(value[1:]))
    if not isinstance(value, list | tuple) or len(value) != 3 or any(channel not in range(256) for channel in value):
        raise WrongClassesError(
            f"{name}: {value!r} is not a colour; write [red, green, blue], 0 to 255 each, or '#rrggbb'"
        )
    red, green, blue = value
    return red, green, blue


def _refuse_repeated(what: str, values: Sequence[object]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise WrongClassesError(f"the {what} {value} occurs twice")
