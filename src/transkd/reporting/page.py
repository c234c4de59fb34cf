"""A report as one HTML page that loads nothing: pictures are in it, and it runs no script."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape

from transkd.reporting import cells, facts
from transkd.reporting.build import Report, Table
from transkd.reporting.cells import ABSENT, Cells
from transkd.reporting.markdown import TITLE
from transkd.reporting.page_style import STYLE
from transkd.reporting.plots.all import Plot
from transkd.reporting.scenes import Panel, Scene

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
        yield from map(_scene, scenes)
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


def _scene(scene: Scene) -> str:
    panels = "".join(map(_panel, scene.panels))
    legend = f'<div class="wide legend">{_image(scene.legend)}</div>' if scene.legend else ""
    return f'<h4>{escape(scene.name)}</h4>\n<div class="scene">{panels}</div>\n{legend}'


def _panel(panel: Panel) -> str:
    return f"<figure>{_image(panel)}<figcaption>{escape(panel.title)}</figcaption></figure>"


def _image(panel: Panel) -> str:
    width, height = panel.size
    source = _data(panel.kind, panel.content)
    return f'<img alt="{escape(panel.title)}" width="{width}" height="{height}" loading="lazy" src="{source}">'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
