"""The files of a report: page, text, numbers, tables and plots, all made before any is written."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting import columns, notes
from transkd.reporting.build import Report, Table
from transkd.reporting.columns import (
    COSTS,
    SCORES,
    class_table,
    cost_table,
    left_out_table,
    run_table,
    score_spread,
    score_table,
)
from transkd.reporting.notes import LITERAL, commands, provenance
from transkd.reporting.plots import figures, file_content, plot_style, table_plots
from transkd.reporting.rows import Row
from transkd.reporting.scenes import example_scenes
from transkd.reporting.tables import latex_table, markdown_code, markdown_table, markdown_text

JSON, PAGE, TEXT = "report.json", "report.html", "report.md"
CSV_COLUMNS = (
    *("method", "kind", "seeds", "miou", "miou_std"),
    *("gain", "gain_low", "gain_high", "gain_how", "gain_verdict", "gain_over", "gap_recovered"),
    *(name for key in SCORES for name in (key, f"{key}_std")),
    *(cost.key for cost in COSTS),
)


def report_files(report: Report) -> dict[str, bytes]:
    """Return name -> content of each file: page, text, numbers, and tables and plots of each table.

    Where a report has several tables, their files end with their number: ``table-2.csv``. The page loads nothing and
    runs no script. The same runs give the same bytes.
    """
    options = report.options
    endings = [f"-{number}" if len(report.tables) > 1 else "" for number in range(1, len(report.tables) + 1)]
    plots = [table_plots(table, options.confidence) for table in report.tables]
    scenes = [example_scenes(table.rows, options.scenes) for table in report.tables]
    files: dict[str, bytes] = {}
    pictures: list[dict[str, str]] = []
    for table, ending, drawn in zip(report.tables, endings, plots, strict=True):
        files[f"table{ending}.csv"] = encoded(table_csv(table))
        files[f"table{ending}.tex"] = encoded(latex(table, options.confidence, ending))
        for plot in drawn:
            files |= {f"{plot.name}{ending}.svg": plot.svg, f"{plot.name}{ending}.png": plot.png}
        pictures.append({plot.title: f"{plot.name}{ending}.png" for plot in drawn})
    environment = Environment(
        loader=PackageLoader("transkd.reporting", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    page, tables = environment.get_template(PAGE), zip(report.tables, plots, scenes, strict=True)
    return {
        PAGE: encoded(page.render(report=report, tables=tables, columns=columns, notes=notes)),
        TEXT: encoded("\n".join(markdown_lines(report, pictures)).rstrip() + "\n"),
        JSON: encoded(report_json(report)),
        **files,
    }


def encoded(text: str) -> bytes:
    """Return UTF-8; a folder's name may hold bytes that are none, which become ``?``."""
    return text.encode(errors="replace")


def draw_plot(report: Report, name: str, *, table: int = 0, width: int = 640) -> Image.Image:
    """Draw one plot of a report; a notebook shows it.

    Args:
        report: what to draw.
        name: ``"gains"``, ``"curves"``, ``"miou-gmac"``, ``"miou-latency"`` or ``"classes"``.
        table: number of the table, from 0.
        width: of the picture, in pixels.

    Returns:
        The picture that :func:`report_files` has under ``NAME.png``, in this width.

    Raises:
        ConfigError: no such plot, or no numbers for it.
    """
    known = figures(report.tables[table], report.options.confidence)
    if name not in known:
        raise ConfigError(f"there is no plot '{name}'; {did_you_mean(name, known)}")
    with plot_style():
        if (figure := known[name][1]()) is None:
            raise ConfigError(f"the plot '{name}' has nothing to show: no run of the table has numbers for it")
        picture = Image.open(io.BytesIO(file_content(figure, "png"))).convert("RGB")
    return picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS)


def markdown_lines(report: Report, plots: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield the lines of the report as Markdown; ``plots`` are each table's, title -> file beside the text."""
    yield from ("# Report", "")
    if report.options.command:
        yield from ("```bash", report.options.command, "```", "")
    yield from (f"- {markdown_text(notice)}" for notice in report.notices)
    yield from [""] * bool(report.notices)
    for table, files in zip(report.tables, plots, strict=True):
        yield from (f"## {markdown_text(table.title or 'Scores')}", "")
        yield from markdown_table(score_table(table.rows, report.options.confidence))
        yield from (f"- {markdown_text(note)}" for note in table.notes)
        yield from ("", "### Costs", "", *markdown_table(cost_table(table.rows)))
        for title, file in files.items():
            yield from (f"### {title}", "", f"![{title}]({file})", "")
        yield from ("### IoU of each class, %", "", *markdown_table(class_table(table.rows)))
        yield from ("### How it was made", "")
        for name, text in provenance(table.runs).items():
            yield f"- {name}: {markdown_code(text) if name in LITERAL else markdown_text(text)}"
        yield from ("", *markdown_table(run_table(table.rows)))
        for name, command in commands(table.rows):
            yield f"- {markdown_text(name)}: {markdown_code(command)}".replace("\n", " ")
        yield ""
    if report.left_out:
        yield from ("## Left out", "", *markdown_table(left_out_table(report.left_out)))


def latex(table: Table, confidence: float, ending: str = "") -> str:
    """Return the tables of scores and of costs for LaTeX with booktabs; their labels end with ``ending``."""
    title = f" ({table.title})" if table.title else ""
    scores = f"Mean IoU over seeds and gain over {table.baseline}{title}."
    costs = f"What networks and trainings cost{title}."
    return "\n".join(
        [
            "% \\usepackage{booktabs}",
            latex_table(score_table(table.rows, confidence), scores, f"scores{ending}"),
            latex_table(cost_table(table.rows), costs, f"costs{ending}"),
        ]
    )


def report_json(report: Report) -> str:
    """Return every number, scores as shares in [0, 1], null where there is none."""
    values = {
        "options": asdict(report.options),
        "notices": report.notices,
        "left_out": [{"folder": one.folder.as_posix(), "reason": one.reason} for one in report.left_out],
        "tables": [
            {
                "title": table.title,
                "notes": table.notes,
                "protocol": table.runs[-1].results.protocol,
                "data": table.runs[-1].results.data.model_dump(exclude_none=True),
                "rows": [numbers(row) for row in table.rows],
            }
            for table in report.tables
        ],
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def table_csv(table: Table) -> str:
    """Return a line for each method, scores as shares in [0, 1], empty where there is none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in map(numbers, table.rows):
        flat = {**row, **row["costs"], "seeds": " ".join(map(str, row["seeds"]))}
        for name in ("miou", "gain", *SCORES):
            values = flat.pop(name) or {}
            flat |= {name if key == "mean" else f"{name}_{key}": value for key, value in values.items()}
        writer.writerow(flat)
    return text.getvalue()


def numbers(row: Row) -> dict[str, Any]:
    """Return a row's numbers and the runs behind it, under the keys of ``report.json``."""
    gain = row.gain
    return {
        "method": row.method.title,
        "kind": row.method.kind,
        "seeds": row.method.seeds,
        "miou": asdict(row.miou),
        **{key: asdict(found) if (found := score_spread(row, key)) else None for key in SCORES},
        "gain": gain and {key: getattr(gain, key) for key in ("mean", "low", "high", "how", "verdict", "seeds")},
        "gain_over": row.baseline.title if row.baseline else None,
        "gap_recovered": row.recovered,
        "teachers": [run.folder.as_posix() for run in row.method.teachers],
        "per_class": row.per_class,
        "class_gains": row.class_gains,
        "costs": {cost.key: cost.value(row) for cost in COSTS},
        "runs": [
            {
                "folder": run.folder.as_posix(),
                "name": run.name,
                "seed": run.seed,
                "miou": run.miou,
                "command": run.results.command,
                "device": run.results.device,
            }
            for run in row.method.runs
        ],
        "repeats": [run.folder.as_posix() for run in row.method.repeats],
    }
