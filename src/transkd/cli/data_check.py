"""``transkd-data action=check``: a dataset read in full, told on the screen, in a file and as a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from transkd.cli.contact_sheet import contact_sheet
from transkd.data import ClassSet, Sample
from transkd.data.check import Kind, SplitSurvey, Survey, survey
from transkd.data.datasets import find_incomplete_scenes
from transkd.errors import ConfigError, DataError, did_you_mean

DARK = 0.04
"""Mean level, 0 to 1, below which a split's images look black, as 12-bit numbers in 16-bit files do."""
SHOWN = 5
"""How many files of each problem the screen names; the file names all."""


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


@dataclass(frozen=True)
class CheckOutcome:
    """What was found, and where it was written.

    Attributes:
        survey: what was found.
        report: the file of the numbers.
        sheet: the contact sheet, None where none was drawn.
        missing_splits: by key, the splits that training would look for and that are not there.
    """

    survey: Survey
    report: Path
    sheet: Path | None
    missing_splits: Mapping[str, str]

    def tell(self, console: Console) -> None:
        """Print what was found.

        Raises:
            DataError: if there are problems; says how many.
        """
        found = self.survey
        console.print(_overview(found))
        console.print(_class_table(found))
        _print_weights(found, console)
        _print_notes(found, console)
        for key, split in self.missing_splits.items():
            _line(
                console,
                f"note: there is no split '{split}'; to train, set data.{key}; {did_you_mean(split, found.splits)}",
            )
        _print_findings(found, console)
        for what, path in (("numbers", self.report), ("contact sheet", self.sheet)):
            if path is not None:
                _line(console, f"{what} in {path}")
        if found.findings:
            raise DataError(f"{len(found.findings)} problems in {found.name} at {found.root}; all are in {self.report}")
        _line(console, "no problems found")


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


def print_classes(classes: ClassSet, console: Console) -> None:
    """Print id, name and colour of each class."""
    table = Table("id", "class", "colour (R, G, B)")
    for index, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True)):
        table.add_row(str(index), escape(name), _swatch(colour))
    table.add_row(str(classes.ignore_index), "ignored", "")
    console.print(table)


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


def _overview(found: Survey) -> Table:
    table = Table("split", "scenes", "by", "height x width", "mean (R, G, B)", "std", "ignored")
    for name, split in found.splits.items():
        numbers: Any = split.as_dict()
        sizes = [f"{size} ({count})" for size, count in numbers["sizes"].items()]
        more = [f"and {len(sizes) - 3} more"] if len(sizes) > 3 else []
        pixels = int(split.pixels.sum()) + split.ignored
        table.add_row(
            escape(name),
            str(numbers["scenes"]),
            escape(split.split_by.removeprefix(f"{found.root}/")),
            "\n".join([*sizes[:3], *more]),
            " ".join(f"{value:.3f}" for value in numbers["mean"]),
            " ".join(f"{value:.3f}" for value in numbers["std"]),
            f"{100 * split.ignored / max(1, pixels):.2f} %",
        )
    table.title = escape(f"{found.name} at {found.root}")
    table.title_justify = "left"
    return table


def _class_table(found: Survey) -> Table:
    table = Table("id", "class", "colour (R, G, B)")
    for name in found.splits:
        table.add_column(f"{escape(name)}, % of pixels", justify="right")
    weights = found.class_weights()
    for rule in weights:
        table.add_column(f"{rule.replace('_', ' ')} weight", justify="right")
    for index, name in enumerate(found.classes.names):
        shares = [100 * split.pixels[index] / max(1, split.pixels.sum()) for split in found.splits.values()]
        table.add_row(
            str(index),
            escape(name),
            _swatch(found.classes.palette[index]),
            *(f"{share:.3f}" for share in shares),
            *(f"{values[index]:.3f}" for values in weights.values()),
        )
    return table


def _swatch(colour: tuple[int, int, int]) -> Text:
    red, green, blue = colour
    return Text.assemble(("    ", f"on rgb({red},{green},{blue})"), f" {red}, {green}, {blue}")


def _print_weights(found: Survey, console: Console) -> None:
    for rule, values in found.class_weights().items():
        listed = ",".join(f"{value:.4g}" for value in values)
        _line(console, f"{rule.replace('_', ' ')} weights of {found.weighed}: objective.class_weights=[{listed}]")


def _print_notes(found: Survey, console: Console) -> None:
    for name, split in found.splits.items():
        if split.absent and split.samples:
            _line(console, f"note: no pixel of {name} is of {', '.join(split.absent)}")
        if split.image_pixels and split.mean < DARK:
            _line(
                console,
                f"note: the images of {name} are nearly black (mean {split.mean:.3f}); 16-bit files must use all bits",
            )
        if split.turned:
            _line(
                console,
                f"note: {len(split.turned)} images of {name} are turned or mirrored by their EXIF orientation, such as "
                f"{split.turned[0]}; labels must fit the image as it is shown: look at the contact sheet",
            )
        if split.repeated:
            first = " and ".join(map(str, split.repeated[0][:2]))
            _line(console, f"note: {len(split.repeated)} pictures are in {name} more than once, such as {first}")


def _print_findings(found: Survey, console: Console) -> None:
    for kind in Kind:
        messages = [f"{finding.split}: {finding.message}" for finding in found.findings if finding.kind is kind]
        if messages:
            _line(console, f"{kind}: {len(messages)}", style="bold red")
            for message in messages[:SHOWN]:
                _line(console, f"  {message}")
            if len(messages) > SHOWN:
                _line(console, f"  and {len(messages) - SHOWN} more")


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)
