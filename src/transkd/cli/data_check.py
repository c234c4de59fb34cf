"""``transkd-data action=check``: a dataset read in full, told on the screen, in a file and as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from transkd.cli.contact_sheet import contact_sheet
from transkd.cli.data_outcome import CheckOutcome
from transkd.data import Sample
from transkd.data.check import SplitSurvey, Survey, survey
from transkd.data.datasets import find_incomplete_scenes
from transkd.errors import ConfigError, DataError


@dataclass(frozen=True)
class CheckRequest:
    """What is to be checked, and where the outcome goes; keys as in ``conf/action/check.yaml``."""

    name: str
    root: str
    options: Mapping[str, Any]
    splits: list[str] | None
    train_split: str
    val_split: str
    workers: int
    pictures: int
    output: Path | None
    overwrite: bool


def run_check(request: CheckRequest, progress: Callable[[int, int], None]) -> CheckOutcome:
    """Read every file of a dataset, and write what was found.

    Args:
        request: what is asked for.
        progress: called with (scenes read, scenes in all).

    Raises:
        ConfigError: if the dataset does not exist, or the output does already.
        DataError: if the root or the classes are missing, or the output cannot be written.
    """
    report = _free_report(request)
    _require_writable(report)
    found = survey(
        request.name,
        request.root,
        request.splits,
        train_split=request.train_split,
        val_split=request.val_split,
        workers=request.workers,
        progress=progress,
        options=request.options,
    )
    sheet = report.with_suffix(".png")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        sheet.unlink(missing_ok=True)
        drawn = _draw(request, found, sheet)
        report.write_text(json.dumps(found.as_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {report}: {error.strerror or error}") from error
    wanted = {"train_split": request.train_split, "val_split": request.val_split}
    missing = {key: split for key, split in wanted.items() if request.splits is None and split not in found.splits}
    return CheckOutcome(found, report, sheet if drawn else None, missing if found.splits else {})


def _free_report(request: CheckRequest) -> Path:
    """Return where the numbers go: what the user named, or the first number that is free."""
    if request.output is None:
        names = (f"checks/{request.name}{'' if n == 1 else f'-{n}'}.json" for n in count(1))
        return next(path for path in map(Path, names) if not path.exists() and not path.with_suffix(".png").exists())
    report = request.output if request.output.suffix == ".json" else Path(f"{request.output}.json")
    taken = [path for path in (report, report.with_suffix(".png")) if path.exists()]
    if taken and not request.overwrite:
        raise ConfigError(f"{taken[0]} exists already: choose another output=…, or overwrite=true to replace it")
    return report


def _require_writable(report: Path) -> None:
    """Raise a DataError before hours of reading if the outcome could not be written after them."""
    there = next(path for path in report.absolute().parents if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"cannot write {report}: {there} is no folder that can be written to; choose another output=…")


def _draw(request: CheckRequest, found: Survey, path: Path) -> bool:
    """Draw scenes from all over the splits."""
    splits = [(name, split) for name, split in found.splits.items() if split.sound]
    if not splits or not request.pictures:
        return False
    scenes = []
    for place, (name, split) in enumerate(splits):
        share = request.pictures // len(splits) + (place < request.pictures % len(splits))
        wanted = min(share, len(split.sound))
        chosen = _chosen(split, wanted)
        read = find_incomplete_scenes(request.name, request.root, name, **request.options).read_label
        scenes += [(name, sample, read) for sample in chosen]
    contact_sheet(scenes, found.classes).save(path)
    return True


def _chosen(split: SplitSurvey, count: int) -> list[Sample]:
    """Choose sound scenes from all over a split, half of them turned ones if there are any, whose labels may not be."""
    paths = set(split.turned)
    turned = [sample for sample in split.sound if sample.image in paths]
    others = [sample for sample in split.sound if sample.image not in paths]
    first = min(len(turned), max(count - len(others), (count + 1) // 2))
    return [*_spread(turned, first), *_spread(others, count - first)]


def _spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    return [samples[i * len(samples) // count] for i in range(count)]
