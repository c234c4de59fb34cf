"""All files of a report, made before any is written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting.build import Report, ReportOptions, build_report
from transkd.reporting.latex import latex
from transkd.reporting.markdown import markdown, report_json, table_csv
from transkd.reporting.page import example_scenes, page
from transkd.reporting.plots.all import table_plots

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


def report(*runs: str | Path, **options: Any) -> Report:
    """Read finished runs and return what a report says of them; a notebook shows its tables of scores.

    Args:
        runs: folders of runs or above them, globs of such, or the folders of sweeps.
        **options: the further attributes of :class:`ReportOptions`, such as ``only=("data.name:camvid",)``.

    Returns:
        The report: ``.tables[0].rows`` are its methods; :func:`draw_plot` draws its plots, and :func:`report_files`
        makes its page and all other files.

    Raises:
        ConfigError: no runs, or runs that do not compare; see :func:`build_report`.

    Example:
        >>> report("runs", exclude=("student.backbone:lvt",)).tables[0].rows[0].miou.mean
    """
    return build_report(ReportOptions(tuple(str(one) for one in runs), **options))


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
    from transkd.reporting.plots.all import table_figures
    from transkd.reporting.plots.look import LIGHT, written

    draws = {key: draw for (key, _), draw in table_figures(report.tables[table], report.options.confidence).items()}
    if name not in draws:
        raise ConfigError(f"there is no plot '{name}'; {did_you_mean(name, draws)}")
    figure = draws[name](LIGHT)
    if figure is None:
        raise ConfigError(f"the plot '{name}' has nothing to show: no run of the table has numbers for it")
    picture = Image.open(io.BytesIO(written(figure, "png"))).convert("RGB")
    return picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS)
