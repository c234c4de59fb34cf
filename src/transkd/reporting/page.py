"""A report as one HTML page that loads nothing: pictures are in it, and it runs no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from transkd.evaluation.pictures import BACKGROUND, TITLE_HEIGHT
from transkd.evaluation.pictures import LEGEND_MARGIN as MARGIN
from transkd.reporting import cells
from transkd.reporting import notes as facts
from transkd.reporting.build import Report, Table
from transkd.reporting.cells import ABSENT, Cells
from transkd.reporting.markdown import TITLE
from transkd.reporting.plots.all import Plot
from transkd.reporting.rows import Row
from transkd.runs.finished import Run

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c2330; --muted: #5d6675; --line: #e3e6eb; --soft: #f5f6f8;
  --gain: #1767a5; --loss: #b4450f; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181e; --ink: #e8ebf0; --muted: #a2aab8; --line: #2f353f;
  --soft: #1d2129; --gain: #6cb4f0; --loss: #f19a68; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .75rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
h4 { font-size: .95rem; margin: 1.25rem 0 .5rem; font-weight: 600; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; color: var(--muted); overflow-wrap: anywhere; }
pre, code { font: .85em/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: 6px; overflow-x: auto; }
code { overflow-wrap: anywhere; }
td code { white-space: nowrap; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--muted); font-weight: 500; vertical-align: bottom; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
th.number { max-width: 9rem; }
td.reading { white-space: nowrap; }
td:first-child { font-weight: 600; min-width: 8.5rem; }
th { overflow-wrap: break-word; }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); max-width: min(22rem, 45vw);
  overflow-wrap: anywhere; }
tr.gain td.reading { color: var(--gain); font-weight: 600; }
tr.loss td.reading { color: var(--loss); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1rem; margin: .5rem 0; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
dl.commands { grid-template-columns: 1fr; gap: 0; }
dl.commands dd { margin-bottom: .6rem; }
figure { margin: 0; overflow-x: auto; }
figure img { display: block; width: 100%; height: auto; border-radius: 4px; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1.5rem; }
.plots img { min-width: 20rem; }
.plots figcaption { font-weight: 600; margin-bottom: .4rem; }
.scene { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); gap: .6rem; }
.scene figcaption { font-size: .85rem; color: var(--muted); overflow-wrap: anywhere; }
.scene img { image-rendering: auto; }
.legend img { width: auto; max-width: none; background: #ffffff; border-radius: 4px; margin-top: .4rem; }
@media (max-width: 40rem) { body { padding: 1rem .75rem 3rem; font-size: 15px; } dl { grid-template-columns: 1fr; }
  dt { margin-top: .4rem; } .scene { grid-template-columns: 1fr 1fr; } }
"""


PREDICTIONS = "predictions"
TITLE_HEIGHTS = TITLE_HEIGHT, 22
"""Of the pictures that training draws, and of those that it drew before."""
MEASURED_ON = "image", "label"
PHOTO = "image"
BLANK = 250
"""The darkest that a pixel of white paper is."""


@dataclass(frozen=True)
class Panel:
    """A picture of a scene: the bytes of a file, and what it shows."""

    title: str
    kind: str
    content: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class Scene:
    """One validation image, its label, and what each method predicts; with the legend of the colours."""

    name: str
    panels: tuple[Panel, ...]
    legend: Panel | None


def example_scenes(rows: Sequence[Row], count: int) -> list[Scene]:
    """Return scenes that most methods have a picture of, each method by its lowest seed that has one.

    Args:
        rows: of one table.
        count: how many scenes at most.
    """
    having: dict[str, int] = {}
    for row in rows:
        for name in {path.name for run in row.method.runs for path in _pictures(run)}:
            having[name] = having.get(name, 0) + 1
    names = sorted(having, key=lambda name: (-having[name], name))[:count]
    return [scene for name in sorted(names) if (scene := _scene(name, rows)) is not None]


def _pictures(run: Run) -> list[Path]:
    return sorted((run.folder / PREDICTIONS).glob("*.png"))


def _scene(name: str, rows: Sequence[Row]) -> Scene | None:
    panels: dict[str, Panel] = {}
    legends: list[Image.Image] = []
    for row in rows:
        for run in row.method.runs:
            cut = _cut(run, name)
            if cut is None:
                continue
            maps, legend = cut
            for title, panel in (*zip(MEASURED_ON, maps, strict=False), (row.method.title, maps[-1])):
                panels.setdefault(title, _panel(title, panel, is_photo=title == PHOTO))
            legends.append(legend)
            break
    if not panels:
        return None
    legend = max(legends, key=_ink)
    used = Image.fromarray(np.asarray(legend).min(axis=2) < BLANK).getbbox()
    cropped = _panel("legend", legend.crop((0, 0, used[2] + MARGIN, legend.height)), is_photo=False) if used else None
    return Scene(Path(name).stem, tuple(panels.values()), cropped)


def _cut(run: Run, name: str) -> tuple[list[Image.Image], Image.Image] | None:
    """Return the panels of a run's picture, image and label first and its own prediction last, and the legend.

    None where there is no such picture, or it is not laid out as training lays it out.
    """
    try:
        with Image.open(run.folder / PREDICTIONS / name) as file:
            picture = file.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    count = 3 if run.has_labels_only else 4
    step, rest = divmod(picture.width - MARGIN, count)
    if rest or run.results.image_size is None:
        return None
    width = step - MARGIN
    height = max(1, round(width * run.results.image_size[0] / run.results.image_size[1]))
    lefts = [MARGIN + place * step for place in range(count)]
    for top in TITLE_HEIGHTS:
        bottom = top + height
        if width > 0 and bottom + MARGIN <= picture.height and _is_laid_out(picture, lefts, top, bottom):
            maps = [picture.crop((left, top, left + width, bottom)) for left in lefts]
            return maps, picture.crop((0, bottom + MARGIN, picture.width, picture.height))
    return None


def _is_laid_out(picture: Image.Image, lefts: Sequence[int], top: int, bottom: int) -> bool:
    """Return whether there is nothing but paper between the panels and below them."""
    gaps = [picture.crop((left - MARGIN, top, left, bottom)) for left in lefts]
    below = picture.crop((0, bottom, picture.width, bottom + MARGIN))
    above = picture.crop((0, top - 1, picture.width, top))
    return all(one.getcolors() == [(one.width * one.height, BACKGROUND)] for one in (*gaps, below, above))


def _ink(legend: Image.Image) -> int:
    """Return how much of a legend is not blank: the one with the most classes has the most."""
    return int((np.asarray(legend).min(axis=2) < BLANK).sum())


def _panel(title: str, picture: Image.Image, *, is_photo: bool) -> Panel:
    buffer = io.BytesIO()
    if is_photo:
        picture.save(buffer, "JPEG", quality=88)
    else:
        picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return Panel(title, "image/jpeg" if is_photo else "image/png", buffer.getvalue(), picture.size)


ROW_STYLES = {"above the noise": "gain", "below the noise": "loss"}


def page(report: Report, plots: Sequence[Sequence[Plot]], scenes: Sequence[Sequence[Scene]]) -> str:
    """Return the page.

    Args:
        report: what it says.
        plots: of each table.
        scenes: of each table.
    """
    body = [f"<h1>{TITLE}</h1>"]
    if report.options.command:
        body.append(f"<pre>{escape(report.options.command)}</pre>")
    body += _list(report.notices)
    for table, drawn, shown in zip(report.tables, plots, scenes, strict=True):
        body += _table(table, report.options.confidence, drawn, shown)
    if report.left_out:
        body += ["<h2>Left out</h2>", _grid(facts.left_out_cells(report.left_out))]
    head = (
        '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>"
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{chr(10).join(body)}\n</body>\n</html>\n'
    )


def _table(table: Table, confidence: float, plots: Sequence[Plot], scenes: Sequence[Scene]) -> Iterator[str]:
    yield f"<h2>{escape(table.title or 'Scores')}</h2>"
    verdicts = [row.gain.verdict if row.gain else "" for row in table.rows]
    yield _grid(cells.scores(table.rows, confidence), [ROW_STYLES.get(verdict, "") for verdict in verdicts])
    yield from _list(table.notes)
    yield from ("<h3>Costs</h3>", _grid(cells.costs(table.rows)))
    if plots:
        yield f'<h3>Plots</h3>\n<div class="plots">{"".join(map(_plot, plots))}</div>'
    yield from ("<h3>IoU of each class, %</h3>", _grid(cells.classes(table.rows)))
    if scenes:
        yield "<h3>Example scenes</h3>"
        yield from map(_scene_html, scenes)
    yield "<h3>How it was made</h3>"
    described = "".join(f"<dt>{n}</dt><dd>{_fact(n, text)}</dd>" for n, text in facts.made_by(table.runs).items())
    yield f"<dl>{described}</dl>"
    yield _grid(facts.run_cells(table.rows))
    made = "".join(
        f"<dt>{escape(n)}</dt><dd><code>{escape(text)}</code></dd>" for n, text in facts.commands(table.rows)
    )
    yield f'<dl class="commands">{made}</dl>'


def _fact(name: str, text: str) -> str:
    return f"<code>{escape(text)}</code>" if name in facts.LITERAL else escape(text)


def _list(sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"<ul>{''.join(f'<li>{_sentence(text)}</li>' for text in sentences)}</ul>"


def _sentence(text: str) -> str:
    """Return a sentence whose `code` is code."""
    parts = [escape(part) for part in text.split("`")]
    return "".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts))


def _grid(table: Cells, row_styles: Sequence[str] = ()) -> str:
    numeric = [place > 0 and any(_is_number(row[place]) for row in table.rows) for place in range(len(table.heads))]
    styles = ["number" if is_number else _word(head) for is_number, head in zip(numeric, table.heads, strict=True)]
    heads = "".join(f'<th class="{style}">{escape(head)}</th>' for head, style in zip(table.heads, styles, strict=True))
    lines = []
    for place, row in enumerate(table.rows):
        texts = zip(table.heads, row, styles, strict=True)
        content = "".join(f'<td class="{style}">{_content(head, text)}</td>' for head, text, style in texts)
        lines.append(f'<tr class="{row_styles[place] if row_styles else ""}">{content}</tr>')
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or (text != ABSENT and text[:1] in "+−")


def _word(head: str) -> str:
    return head.split()[0] if head.isalpha() else ""


def _content(head: str, text: str) -> str:
    return f"<code>{escape(text)}</code>" if head == "folder" else escape(text)


def _plot(plot: Plot) -> str:
    dark = f'<source media="(prefers-color-scheme: dark)" srcset="{_data("image/svg+xml", plot.dark)}">'
    picture = f'<img alt="{escape(plot.title)}" src="{_data("image/svg+xml", plot.svg)}">'
    return f"<figure><figcaption>{escape(plot.title)}</figcaption><picture>{dark}{picture}</picture></figure>"


def _scene_html(scene: Scene) -> str:
    panels = "".join(map(_panel_html, scene.panels))
    legend = f'<div class="wide legend">{_image(scene.legend)}</div>' if scene.legend else ""
    return f'<h4>{escape(scene.name)}</h4>\n<div class="scene">{panels}</div>\n{legend}'


def _panel_html(panel: Panel) -> str:
    return f"<figure>{_image(panel)}<figcaption>{escape(panel.title)}</figcaption></figure>"


def _image(panel: Panel) -> str:
    width, height = panel.size
    source = _data(panel.kind, panel.content)
    return f'<img alt="{escape(panel.title)}" width="{width}" height="{height}" loading="lazy" src="{source}">'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
