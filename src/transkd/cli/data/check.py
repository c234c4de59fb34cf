"""``transkd-data action=check``: a dataset read in full, and what was found: on the screen, in a file, as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from transkd.cli.data.actions import CheckAction
from transkd.data import ClassSet, Sample
from transkd.data.check import Kind, SplitSurvey, Survey, survey
from transkd.data.datasets import find_incomplete_scenes
from transkd.data.reading import read_image
from transkd.errors import ConfigError, DataError, did_you_mean
from transkd.evaluation.pictures import scene_sheet

PANEL, PANELS = 256, 2
"""Width of a scene on the contact sheet in pixels, and scenes in a row."""
DARK = 0.04
"""Mean level, 0 to 1, below which a split's images look black, as 12-bit numbers in 16-bit files do."""
SUMMED_UP = 10
"""How many ids or colours of no class the screen sums up for a split."""
MOST_SIZES = 3
"""How many sizes of images the screen lists one by one."""
SHOWN = 5
"""How many files of each problem the screen names; the file names all."""


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

    def print(self, console: Console) -> None:
        """Print what was found.

        Raises:
            DataError: there are problems.
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


def run_check(action: CheckAction, progress: Callable[[int, int], None]) -> CheckOutcome:
    """Read every file of a dataset, and write what was found.

    Args:
        action: the command's options.
        progress: called with (scenes read, scenes in all).

    Raises:
        ConfigError: if the dataset does not exist, or the output does already.
        DataError: if the root or the classes are missing, or the output cannot be written.
    """
    report = _report_file(action)
    _require_writable(report)
    splits = [action.split] if isinstance(action.split, str) else action.split
    data = action.data
    found = survey(
        data.name,
        data.root,
        splits,
        train_split=data.train_split,
        val_split=data.val_split,
        workers=os.cpu_count() or 1 if action.workers is None else action.workers,
        progress=progress,
        options=data.options,
    )
    sheet = report.with_suffix(".png")
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        sheet.unlink(missing_ok=True)
        drawn = _draw(action, found, sheet)
        report.write_text(json.dumps(found.as_dict(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {report}: {error.strerror or error}") from error
    expected = {"train_split": data.train_split, "val_split": data.val_split}
    missing = {key: split for key, split in expected.items() if splits is None and split not in found.splits}
    return CheckOutcome(found, report, sheet if drawn else None, missing if found.splits else {})


def _report_file(action: CheckAction) -> Path:
    """Return where the numbers go: what the user named, or the first number that is free."""
    if action.output is None:
        names = (f"checks/{action.data.name}{'' if n == 1 else f'-{n}'}.json" for n in count(1))
        return next(path for path in map(Path, names) if not path.exists() and not path.with_suffix(".png").exists())
    output = Path(action.output).expanduser()
    report = output if output.suffix == ".json" else Path(f"{output}.json")
    taken = [path for path in (report, report.with_suffix(".png")) if path.exists()]
    if taken and not action.overwrite:
        raise ConfigError(f"{taken[0]} exists already: choose another output=…, or overwrite=true to replace it")
    return report


def _require_writable(report: Path) -> None:
    """Raise a DataError before hours of reading if the outcome could not be written after them."""
    there = next(path for path in report.absolute().parents if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"cannot write {report}: {there} is no folder that can be written to; choose another output=…")


def _draw(action: CheckAction, found: Survey, path: Path) -> bool:
    """Draw scenes from all over the splits."""
    splits = [(name, split) for name, split in found.splits.items() if split.sound]
    if not splits or not action.pictures:
        return False
    cells = []
    for place, (name, split) in enumerate(splits):
        share = action.pictures // len(splits) + (place < action.pictures % len(splits))
        read = find_incomplete_scenes(found.name, found.root, name, **action.data.options).read_label
        for sample in _chosen(split, min(share, len(split.sound))):
            cells.append((read_image(sample.image), {f"{sample.name} ({name})": read(sample.label)}))
    classes = found.classes
    scene_sheet(cells, classes.names, classes.palette, panel_width=PANEL, columns=PANELS).save(path)
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


def print_classes(classes: ClassSet, console: Console) -> None:
    """Print id, name and colour of each class."""
    table = Table("id", "class", "colour (R, G, B)")
    for index, (name, colour) in enumerate(zip(classes.names, classes.palette, strict=True)):
        table.add_row(str(index), escape(name), _swatch(colour))
    table.add_row(str(classes.ignore_index), "ignored", "")
    console.print(table)


def _overview(found: Survey) -> Table:
    ways = {name: split.split_by.replace(f"{found.root}/", "") for name, split in found.splits.items()}
    common = len(set(ways.values())) == 1
    table = Table("split", "scenes", "height x width", "mean (R, G, B)", "std", "ignored")
    for name, split in found.splits.items():
        numbers: Any = split.as_dict()
        pixels = int(split.pixels.sum()) + split.ignored
        table.add_row(
            escape(name),
            str(numbers["scenes"]),
            _sizes(numbers["sizes"]),
            " ".join(f"{value:.3f}" for value in numbers["mean"]),
            " ".join(f"{value:.3f}" for value in numbers["std"]),
            f"{100 * split.ignored / max(1, pixels):.2f} %",
        )
    way = f", split by {next(iter(ways.values()))}" if common else ""
    apart = [] if common else [f"{name}: by {way_of_one}" for name, way_of_one in ways.items()]
    table.title = escape("\n".join([f"{found.name} at {found.root}{way}", *apart]))
    table.title_justify = "left"
    for column in table.columns:
        column.no_wrap = column.header in ("mean (R, G, B)", "std")
        column.overflow = "fold"
    return table


def _sizes(counts: Mapping[str, int]) -> str:
    """Return each size with its number of images, or how many sizes there are and the ranges of their sides."""
    if len(counts) <= MOST_SIZES:
        return "\n".join(f"{size} ({count})" for size, count in counts.items())
    heights, widths = zip(*(map(int, size.split("x")) for size in counts), strict=True)
    return f"{min(heights)}-{max(heights)} x {min(widths)}-{max(widths)}\n{len(counts)} sizes"


def _class_table(found: Survey) -> Table:
    table = Table("id", "class", "colour (R, G, B)")
    for name in found.splits:
        table.add_column(f"{escape(name)}, % of pixels", justify="right")
    table.columns[2].no_wrap = True
    for index, name in enumerate(found.classes.names):
        shares = [100 * split.pixels[index] / max(1, split.pixels.sum()) for split in found.splits.values()]
        table.add_row(
            str(index),
            escape(name),
            _swatch(found.classes.palette[index]),
            *(f"{share:.3f}" for share in shares),
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
        if split.samples and not split.pixels.any():
            _line(console, f"note: no label of {name} could be counted, so its pixels and weights say nothing")
        if split.absent:
            among = name if len(split.sound) == len(split.samples) else f"the sound scenes of {name}"
            _line(console, f"note: no pixel of {among} is of {', '.join(split.absent)}")
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
            if kind is Kind.IDS:
                _print_unknown(found, console)
            for message in messages[:SHOWN]:
                _line(console, f"  {message}")
            if len(messages) > SHOWN:
                _line(console, f"  and {len(messages) - SHOWN} more")


def _print_unknown(found: Survey, console: Console) -> None:
    """Sum up what no class has: one line that is missing in classes.yaml is a problem of every label."""
    for name, split in found.splits.items():
        common = [f"{value} in {count}" for value, count in split.unknown.most_common(SUMMED_UP)]
        rest = len(split.unknown) - len(common)
        if common:
            more = f", and {rest} more" if rest else ""
            _line(console, f"  {name}, of {len(split.samples)} labels: {', '.join(common)}{more}")


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)
