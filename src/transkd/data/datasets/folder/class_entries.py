"""Classes as people write them: names, ids and colours, in lists and mappings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from transkd.data.classes import IGNORE_INDEX, ClassSet
from transkd.data.colour_masks import Colour, MaskKind, MaskReader
from transkd.data.datasets.voc2012 import voc_colours
from transkd.data.labels import lookup_table
from transkd.errors import ConfigError, DataError, TransKDError


@dataclass(frozen=True)
class ClassTable:
    """What a class file says.

    Attributes:
        names: one a class, in order.
        ids: the id in mask files, one a class.
        colours: one a class, None where the file gives none.
        ignored_ids: ids of pixels to be left out.
        ignored_colours: colours of pixels to be left out.
        custom_ignore: whether the file leaves open what is ignored, so that 255 is, as is the custom.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    colours: tuple[Colour | None, ...]
    ignored_ids: tuple[int, ...]
    ignored_colours: tuple[Colour, ...]
    custom_ignore: bool

    def class_set(self) -> ClassSet:
        """Give the classes; one without a colour gets one of VOC's that no other class has."""
        taken = set(self.colours)
        free = (colour for colour in voc_colours(2 * 256)[1:] if colour not in taken)
        return ClassSet(self.names, tuple(colour or next(free) for colour in self.colours))

    def reader(self, kind: MaskKind) -> MaskReader:
        """Make the reader of the masks."""
        known = {file_id: index for index, file_id in enumerate(self.ids)}
        ignored = dict.fromkeys((*self.ignored_ids, *([IGNORE_INDEX] if self.custom_ignore else [])), IGNORE_INDEX)
        coloured = [(colour, index) for index, colour in enumerate(self.colours) if colour is not None]
        coloured += [(colour, IGNORE_INDEX) for colour in self.ignored_colours]
        return MaskReader(
            lookup_table(ignored | known),
            tuple(coloured),
            self.names,
            kind,
            self.custom_ignore and IGNORE_INDEX not in self.ids,
        )


_KEYS = {"id", "colour", "color"}
_NAME = "name"
_WRAPPERS = ("classes", "names")
_IGNORE = "ignore"
_MEANS_IGNORE = {"ignore", "ignored", "ignore_index", "ignore_label"}


class WrongClassesError(Exception):
    """What is wrong with classes, as a clause."""


def parse_classes(content: object) -> ClassTable:
    """Read classes from what YAML or a config says of them.

    Raises:
        WrongClassesError: if they make no sense.
    """
    ignore: object = None
    if isinstance(content, Mapping):
        content = dict(content)
        ignore = content.pop(_IGNORE, None)
        wrapper = next(iter(content)) if len(content) == 1 else None
        if wrapper in _WRAPPERS and not isinstance(content[wrapper], str | int) and not _is_colour(content[wrapper]):
            content = content[wrapper]
    elif isinstance(content, list):
        marks = [item for item in content if isinstance(item, Mapping) and set(item) == {_IGNORE}]
        ignore = [value for item in marks for value in _as_list(item[_IGNORE])] if marks else None
        content = [item for item in content if item not in marks]
    entries = _entries(content)
    names = tuple(_name(name) for name, _, _ in entries)
    ids = [file_id for _, file_id, _ in entries]
    colours = tuple(colour for _, _, colour in entries)
    if len({file_id is None for file_id in ids}) > 1:
        raise WrongClassesError("some classes have an id and some do not; give all of them one, or none")
    whole = tuple(index if file_id is None else file_id for index, file_id in enumerate(ids))
    ignored_ids, ignored_colours = _ignored(ignore)
    if _is_colour(ignore) and any(colours):
        raise WrongClassesError(f"ignore: {ignore} are three ids; the colour is written [{ignore}]")
    _refuse_repeated("the name", names)
    _refuse_repeated("the id", [*whole, *ignored_ids])
    _refuse_repeated("the colour", [*(list(c) for c in colours if c), *(list(c) for c in ignored_colours)])
    return ClassTable(names, whole, colours, ignored_ids, ignored_colours, custom_ignore=ignore is None)


def _entries(content: object) -> list[tuple[object, int | None, Colour | None]]:
    """Return (name, id, colour) of each class."""
    if isinstance(content, Mapping):
        if _NAME in content and set(content) <= {_NAME, *_KEYS}:
            value = {key: item for key, item in content.items() if key != _NAME}
            entries: list[tuple[object, int | None, Colour | None]] = [
                (content[_NAME], *_id_and_colour(content[_NAME], value or None))
            ]
        elif content and all(map(_is_id_with_name, content.items())):
            entries = [(name, _id(int(key)), None) for key, name in content.items()]
        else:
            entries = [(name, *_id_and_colour(name, value)) for name, value in content.items()]
    elif isinstance(content, Sequence) and not isinstance(content, str):
        entries = []
        for item in content:
            entries += _entries(item) if isinstance(item, Mapping) else [(item, None, None)]
    else:
        raise WrongClassesError("this is no list of class names and no mapping from names to colours")
    if not 1 <= len(entries) <= 254:
        raise WrongClassesError(f"there are {len(entries)} classes; give 1 to 254")
    return entries


def _is_id_with_name(item: tuple[object, object]) -> bool:
    key, name = item
    return str(key).isdigit() and isinstance(name, str) and not name.startswith("#")


def _name(name: object) -> str:
    if isinstance(name, bool) or name is None:
        raise WrongClassesError(f"a class is called {name}, which YAML reads as no text; write it in quotes")
    if not isinstance(name, str | int | float) or not str(name).strip() or not str(name).isprintable():
        raise WrongClassesError(f"{name!r} is no name of a class")
    if str(name).lower() in _MEANS_IGNORE:
        raise WrongClassesError(
            f"'{name}' would be a class that is learned; what is left out is said by 'ignore: [255]'"
        )
    return str(name).strip()


def _id_and_colour(name: object, value: object) -> tuple[int | None, Colour | None]:
    if value is None:
        return None, None
    if _is_id(value):
        return _id(value), None
    if isinstance(value, Mapping) and set(value) <= _KEYS:
        colour = value.get("colour", value.get("color"))
        return (_id(value["id"]) if "id" in value else None), (None if colour is None else _colour(colour, name))
    return None, _colour(value, name)


def _ignored(value: object) -> tuple[tuple[int, ...], tuple[Colour, ...]]:
    items = [] if value is None else _as_list(value)
    ids = tuple(_id(item) for item in items if _is_id(item))
    return ids, tuple(_colour(item, _IGNORE) for item in items if not _is_id(item))


def _as_list(ignored: object) -> Sequence[object]:
    items = [ignored] if _is_id(ignored) or isinstance(ignored, str) else ignored
    if not isinstance(items, Sequence):
        raise WrongClassesError("'ignore' takes a list of ids or colours: [255] or [[0, 0, 0]]")
    return items


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _id(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
        raise WrongClassesError(f"the id {value} is not between 0 and 255")
    return value


def _is_colour(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3 and all(map(_is_id, value))


def _colour(value: object, name: object) -> Colour:
    if isinstance(value, str) and len(value) == 7 and value.startswith("#"):
        try:
            red, green, blue = bytes.fromhex(value[1:])
        except ValueError:
            raise WrongClassesError(f"{name}: '{value}' is no colour; write [red, green, blue] or '#rrggbb'") from None
        return red, green, blue
    if isinstance(value, Sequence) and _is_colour(value) and all(0 <= channel <= 255 for channel in value):
        red, green, blue = value
        return red, green, blue
    raise WrongClassesError(f"{name}: {value!r} is no colour; write [red, green, blue], 0 to 255 each, or '#rrggbb'")


def _refuse_repeated(what: str, values: Sequence[object]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise WrongClassesError(f"{what} {value} occurs twice")


CLASS_FILES = ("classes.yaml", "classes.yml")
OPTION = "data.options.classes"
HOW_TO_WRITE = (
    "Write ROOT/classes.yaml, a line a class in the order of the ids 0, 1, 2, ...: '- road' (masks of ids), or "
    "'road: [128, 64, 128]' (masks of colours). Pixels to be left out: a line 'ignore: [255]' or "
    "'ignore: [[0, 0, 0]]', among lines with a dash '- ignore: [255]'. "
    f"Or give the names in the config: {OPTION}=[road,car]"
)
_HEX_WITHOUT_QUOTES = re.compile(r"^[^#\n]+:[ \t]+#[0-9a-fA-F]{6}\b", re.MULTILINE)


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
        return _parse(classes, OPTION, ConfigError)
    if classes is not None:
        paths = [root / Path(classes).expanduser(), Path(classes).expanduser()]
    else:
        paths = [root / name for name in CLASS_FILES]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        where = f"{OPTION}={classes}: there is no such file" if classes else f"{root} holds no {CLASS_FILES[0]}"
        raise DataError(f"{where}, so that the classes are unknown. {HOW_TO_WRITE}")
    return _parse(_load(path), str(path), DataError)


def _load(path: Path) -> object:
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        text = path.read_text(encoding="utf-8")
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not YAML that can be read ({reason}). {HOW_TO_WRITE}") from error
    if isinstance(content, Mapping | list) and _HEX_WITHOUT_QUOTES.search(text):
        raise DataError(f"{path}: YAML reads what follows # as a comment; write colours in quotes: 'road: \"#804080\"'")
    # OmegaConf takes bare words, in one line or many, for the only key of a mapping.
    is_mapping = isinstance(content, Mapping) and ":" in text
    return content if is_mapping or isinstance(content, list) else text


def _parse(content: object, where: str, kind: type[TransKDError]) -> ClassTable:
    try:
        return parse_classes(content)
    except WrongClassesError as error:
        raise kind(f"{where}: {error}. {HOW_TO_WRITE}") from None
