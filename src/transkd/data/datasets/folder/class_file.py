"""The file of the classes of a folder of one's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from transkd.data.datasets.folder.class_entries import WrongClassesError, parse_classes
from transkd.data.datasets.folder.class_table import ClassTable
from transkd.errors import ConfigError, DataError, TransKDError

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
