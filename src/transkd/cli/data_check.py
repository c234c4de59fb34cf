"""``transkd-data action=check``: a dataset read in full, and what was found: on the screen, in a file, as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from transkd.cli.progress import output as terminal
from transkd.cli.progress import progress_bar
from transkd.data.check import Kind, Survey, survey
from transkd.data.datasets import find_scenes
from transkd.data.reading import read_image
from transkd.errors import ConfigError, DataError
from transkd.evaluation.pictures import scene_sheet
from transkd.training.config import DataConfig

PANEL, PANELS = 256, 2
"""Width of a scene on the contact sheet in pixels, and scenes in a row."""
DARK = 0.04
"""Mean level, 0 to 1, below which a split's images look black, as 12-bit numbers in 16-bit files do."""
MOST_SIZES = 3
"""How many sizes of images the screen lists one by one."""
SHOWN = 5
"""How many files of each problem the screen names; the file names all."""


def check_dataset(
    data: DataConfig,
    *,
    splits: Sequence[str] | None,
    workers: int,
    pictures: int,
    output: str | None,
    overwrite: bool,
) -> None:
    """Read every file of a dataset; print and write what was found.

    Arguments are the options of ``CheckAction``.

    Raises:
        ConfigError: the dataset does not exist, or the output does already.
        DataError: there are problems, the root or the classes are missing, or the output cannot be written.
    """
    report = _report_file(data.name, output, overwrite=overwrite)
    with _writing(report):  # before the hours that reading may take
        report.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar("reading scenes", "scenes") as progress:
        found = survey(
            data.name,
            data.root,
            splits,
            train_split=data.train_split,
            val_split=data.val_split,
            workers=workers,
            progress=progress,
            options=data.options,
        )
    sheet = report.with_suffix(".png")
    with _writing(report):
        sheet.unlink(missing_ok=True)
        _draw(found, data.options, pictures, sheet)
        report.write_text(json.dumps(found.as_dict(), indent=2) + "\n", encoding="utf-8")
    terminal().print(_overview(found), _class_table(found))
    for line in [*_notes(found), *_findings(found)]:
        print(line)
    print(f"numbers in {report}")
    if sheet.exists():
        print(f"contact sheet in {sheet}")
    if found.findings:
        raise DataError(f"{len(found.findings)} problems in {found.name} at {found.root}; all are in {report}")
    print("no problems found")


@contextmanager
def _writing(report: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {report} ({error.strerror or error}): choose another output=…") from error


def _report_file(name: str, output: str | None, *, overwrite: bool) -> Path:
    """Return where the numbers go: what the user named, or the first number that is free."""
    if output is None:
        names = (f"checks/{name}{'' if n == 1 else f'-{n}'}.json" for n in count(1))
        return next(path for path in map(Path, names) if not path.exists() and not path.with_suffix(".png").exists())
    report = Path(output).expanduser()
    report = report if report.suffix == ".json" else Path(f"{report}.json")
    taken = [path for path in (report, report.with_suffix(".png")) if path.exists()]
    if taken and not overwrite:
        raise ConfigError(f"{taken[0]} exists already: choose another output=…, or overwrite=true to replace it")
    return report


def _draw(found: Survey, options: Mapping[str, Any], pictures: int, path: Path) -> None:
    """Draw sound scenes from all over the splits, first those that EXIF turns, whose labels may not be turned."""
    cells = []
    splits = {name: split for name, split in found.splits.items() if split.sound}
    for place, (name, split) in enumerate(splits.items()):
        turned = set(split.turned)
        sound = sorted(split.sound, key=lambda sample: sample.image not in turned)
        count = min(pictures // len(splits) + (place < pictures % len(splits)), len(sound))
        read = find_scenes(found.name, found.root, name, complete=False, **options).read_label
        for sample in (sound[i * len(sound) // count] for i in range(count)):
            cells.append((read_image(sample.image), {f"{sample.name} ({name})": read(sample.label)}))
    if cells:
        classes = found.classes
        scene_sheet(cells, classes.names, classes.palette, panel_width=PANEL, columns=PANELS).save(path)


def _overview(found: Survey) -> Table:
    ways = dict.fromkeys(split.split_by.replace(f"{found.root}/", "") for split in found.splits.values())
    table = Table(title=f"{found.name} at {found.root}, split by {' and '.join(ways)}", title_justify="left")
    for head in ("split", "scenes", "height x width", "mean (R, G, B)", "std", "ignored"):
        table.add_column(head, no_wrap=head in ("mean (R, G, B)", "std"), overflow="fold")
    for name, split in found.splits.items():
        numbers: Any = split.as_dict()
        table.add_row(
            name,
            str(numbers["scenes"]),
            _sizes(numbers["sizes"]),
            " ".join(f"{value:.3f}" for value in numbers["mean"]),
            " ".join(f"{value:.3f}" for value in numbers["std"]),
            f"{100 * split.ignored / max(1, int(split.pixels.sum()) + split.ignored):.2f} %",
        )
    return table


def _sizes(counts: Mapping[str, int]) -> str:
    """Return each size with its number of images, or how many sizes there are and the ranges of their sides."""
    if len(counts) <= MOST_SIZES:
        return "\n".join(f"{size} ({count})" for size, count in counts.items())
    heights, widths = zip(*(map(int, size.split("x")) for size in counts), strict=True)
    return f"{min(heights)}-{max(heights)} x {min(widths)}-{max(widths)}\n{len(counts)} sizes"


def _class_table(found: Survey) -> Table:
    table = Table("id", "class", "colour (R, G, B)")
    table.columns[2].no_wrap = True
    for name in found.splits:
        table.add_column(f"{name}, % of pixels", justify="right")
    for index, name in enumerate(found.classes.names):
        shares = [100 * split.pixels[index] / max(1, split.pixels.sum()) for split in found.splits.values()]
        table.add_row(str(index), name, swatch(found.classes.palette[index]), *(f"{share:.3f}" for share in shares))
    return table


def swatch(colour: tuple[int, int, int]) -> Text:
    """Return a colour as a patch of it and its numbers."""
    red, green, blue = colour
    return Text.assemble(("    ", f"on rgb({red},{green},{blue})"), f" {red}, {green}, {blue}")


def _notes(found: Survey) -> Iterator[str]:
    for rule, values in found.class_weights().items():
        listed = ",".join(f"{value:.4g}" for value in values)
        yield f"{rule.replace('_', ' ')} weights of {found.weighed}: objective.class_weights=[{listed}]"
    for name, split in found.splits.items():
        if split.samples and not split.pixels.any():
            yield f"note: no label of {name} could be counted, so its pixels and weights say nothing"
        if split.absent:
            among = name if len(split.sound) == len(split.samples) else f"the sound scenes of {name}"
            yield f"note: no pixel of {among} is of {', '.join(split.absent)}"
        if split.sizes and split.mean < DARK:
            yield f"note: the images of {name} are nearly black (mean {split.mean:.3f}); 16-bit files must use all bits"
        if split.turned:
            yield (
                f"note: {len(split.turned)} images of {name} are turned or mirrored by their EXIF orientation, such as "
                f"{split.turned[0]}; labels must fit the image as it is shown: check the contact sheet"
            )
        if split.repeated:
            first = " and ".join(map(str, split.repeated[0][:2]))
            yield f"note: {len(split.repeated)} pictures are in {name} more than once, such as {first}"


def _findings(found: Survey) -> Iterator[str]:
    for kind in Kind:
        messages = [f"{finding.split}: {finding.message}" for finding in found.findings if finding.kind is kind]
        if not messages:
            continue
        yield f"{kind}: {len(messages)}"
        if kind is Kind.IDS:  # one line that is missing in classes.yaml is a problem of every label
            for name, split in found.splits.items():
                common = ", ".join(f"{value} in {number}" for value, number in split.unknown.most_common(SHOWN))
                if common:
                    yield f"  {name}, of {len(split.samples)} labels: {common}"
        yield from (f"  {message}" for message in messages[:SHOWN])
        if len(messages) > SHOWN:
            yield f"  and {len(messages) - SHOWN} more"
