"""All files of a report, made before any is written."""

from __future__ import annotations

from transkd.reporting.build import Report
from transkd.reporting.latex import latex
from transkd.reporting.markdown import markdown
from transkd.reporting.numbers import report_json, table_csv
from transkd.reporting.page import page
from transkd.reporting.plots.all import table_plots
from transkd.reporting.scenes import example_scenes

JSON, PAGE, TEXT = "report.json", "report.html", "report.md"


def report_files(report: Report) -> dict[str, bytes]:
    """Return name -> content of each file: page, text, numbers, and tables and plots of each table.

    Where a report has several tables, their files end with their number: ``table-2.csv``. The same runs give the same
    bytes.
    """
    options = report.options
    files: dict[str, bytes] = {}
    plots = [table_plots(table, options.confidence) for table in report.tables]
    scenes = [example_scenes(table.rows, options.scenes) for table in report.tables]
    shown: dict[int, dict[str, str]] = {}
    for place, table in enumerate(report.tables):
        ending = f"-{place + 1}" if len(report.tables) > 1 else ""
        files[f"table{ending}.csv"] = _bytes(table_csv(table))
        files[f"table{ending}.tex"] = _bytes(latex(table, options.confidence, ending))
        for plot in plots[place]:
            files |= {f"{plot.name}{ending}.svg": plot.svg, f"{plot.name}{ending}.png": plot.png}
        shown[place] = {plot.title: f"{plot.name}{ending}.png" for plot in plots[place]}
    return {
        PAGE: _bytes(page(report, plots, scenes)),
        TEXT: _bytes(markdown(report, shown)),
        JSON: _bytes(report_json(report)),
        **files,
    }


def _bytes(text: str) -> bytes:
    """Return UTF-8; a folder's name may hold bytes that are none, which are written as ``?``."""
    return text.encode(errors="replace")
