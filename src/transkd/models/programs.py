"""What makes a ``torch.export`` program safe to read: torch's own loader would run code in one."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from transkd.errors import WeightsError, first_line

PROGRAM_METADATA = "transkd.json"
_RECORDS = re.compile(
    r"data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)|"
    rf"data/sample_inputs/model\.pt|models/model\.json|extra/{re.escape(PROGRAM_METADATA)}|"
    r"archive_format|archive_version|byteorder|\.data/\w+"
)
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+(\.\w+)?|torch\.sym_\w+|math\.(ceil|floor|trunc)|"
    r"_operator\.(add|sub|mul|neg|floordiv|truediv|mod|pow|getitem|eq|ne|ge|gt|le|lt|and_|or_)"
)
_SYMBOL = re.compile(r"'[a-z]+\d+'")
_ARITHMETIC = re.compile(r"[\w\s(),=+\-*/]*")
_ASSUMPTIONS = {"positive", "nonnegative", "integer", "real"}


def check_program(path: Path) -> dict[str, Any]:
    """Return a program's metadata, having found it whole and with nothing to execute but its operators.

    Raises:
        WeightsError: it is damaged, none that transkd exported, or would run code when torch reads it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (broken := archive.testzip()) is not None:
                raise ValueError(f"the checksum of its record '{broken}' is wrong")
            records = {name.partition("/")[2]: name for name in archive.namelist()}
            if f"extra/{PROGRAM_METADATA}" not in records:
                raise WeightsError(f"{path} is a torch.export program, but not of a segmenter that transkd exported")
            if suspect := next(_what_would_run(archive, records), None):
                raise WeightsError(
                    f"{path} is refused, and nothing of it was executed: it holds {suspect}, which would run code on "
                    "loading, and which no file that transkd exports has"
                )
            metadata: dict[str, Any] = json.loads(archive.read(records[f"extra/{PROGRAM_METADATA}"]))
            return metadata
    except WeightsError:
        raise
    except Exception as error:  # zipfile's, json's, or of plain values that are not what they should be
        raise WeightsError(f"{path} is damaged ({first_line(error)}): copy it again, or export it again") from error


def _what_would_run(archive: zipfile.ZipFile, records: dict[str, str]) -> Iterator[str]:
    """Yield what of the archive's records would run code, for a message."""
    yield from (f"a record '{record}'" for record in records if not _RECORDS.fullmatch(record))
    for kind in ("weights", "constants"):
        config = json.loads(archive.read(records[f"data/{kind}/model_{kind}_config.json"]))["config"]
        yield from (f"pickled {kind} ({name})" for name, entry in config.items() if entry["use_pickle"])
    try:
        torch.load(io.BytesIO(archive.read(records["data/sample_inputs/model.pt"])), weights_only=True)
    except Exception:  # of the unpickler, for whatever it does not take
        yield "a pickle of other things than tensors (data/sample_inputs/model.pt)"
    graph = json.loads(archive.read(records["models/model.json"]))
    yield from (f"the guard '{guard}'" for guard in graph["guards_code"])
    for key, text in _strings(graph):
        if key in ("target", "as_operator") and not _OPERATORS.fullmatch(text):
            yield f"a call of '{text[:100]}'"
        if key == "expr_str" and not _is_arithmetic(text):
            yield f"the expression '{text[:100]}'"


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield all strings in plain values, each with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, below in value.items():
            yield from _strings(below, name)
    elif isinstance(value, list):
        for below in value:
            yield from _strings(below, key)


def _is_arithmetic(text: str) -> bool:
    """Return whether an expression has numbers, symbols and sympy's functions only: no attribute, no string."""
    bare = _SYMBOL.sub("", text)
    names = re.findall(r"[^\W\d]\w*", bare)
    known = all(re.fullmatch("[A-Z][A-Za-z]*", name) or name in _ASSUMPTIONS for name in names)
    return known and _ARITHMETIC.fullmatch(bare) is not None
