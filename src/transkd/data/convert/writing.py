"""What conversions share: files that are whole or not there, and folders that are never overwritten."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from transkd.errors import DataError

UNFINISHED = "conversion.unfinished.json"
FINISHED = "conversion.json"


@dataclass(frozen=True)
class ConvertReport:
    """What a conversion did.

    Attributes:
        root: the dataset's folder.
        scenes: how many it now holds.
        written: how many this call wrote; 0 where all were there already.
    """

    root: Path
    scenes: int
    written: int

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.written:
            return f"{self.root} already holds these {self.scenes} scenes: nothing to do"
        return f"wrote {self.written} scenes; {self.root} holds {self.scenes}"


def claim_folder(root: Path, source: Mapping[str, object]) -> bool:
    """Make a folder ready to be written to, or to be completed.

    Args:
        root: the folder, made if missing.
        source: what is converted; a folder that was begun with the same is completed.

    Returns:
        Whether it is complete already.

    Raises:
        DataError: if it holds other files, or cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        held = {name: _read(root / name) for name in (FINISHED, UNFINISHED)}
        if held[FINISHED] == source:
            return True
        if held[UNFINISHED] != source and any(root.iterdir()):
            names = ", ".join(sorted(path.name for path in root.iterdir())[:3])
            raise DataError(f"{root} already holds other files ({names}): choose an empty folder, root=PATH")
        (root / UNFINISHED).write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write to {root}: {error.strerror or error}") from error
    return False


def finish_folder(root: Path) -> None:
    """Mark a folder as complete."""
    (root / UNFINISHED).replace(root / FINISHED)


def write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write a PNG that is either whole or not there."""
    partial = path.with_name(f"{path.name}.part")
    Image.fromarray(pixels).save(partial, format="PNG", compress_level=3)
    partial.replace(path)


def write_lines(path: Path, lines: list[str]) -> None:
    """Write a list that is either whole or not there."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
