"""A report in one call and its plots one by one, as notebooks want them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from transkd.errors import ConfigError, did_you_mean
from transkd.reporting.build import Report, ReportOptions, build_report


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
    from transkd.reporting.plots.all import table_figures  # with it matplotlib, which a table does without
    from transkd.reporting.plots.look import LIGHT, written

    draws = {key: draw for (key, _), draw in table_figures(report.tables[table], report.options.confidence).items()}
    if name not in draws:
        raise ConfigError(f"there is no plot '{name}'; {did_you_mean(name, draws)}")
    figure = draws[name](LIGHT)
    if figure is None:
        raise ConfigError(f"the plot '{name}' has nothing to show: no run of the table has numbers for it")
    picture = Image.open(io.BytesIO(written(figure, "png"))).convert("RGB")
    return picture.resize((width, round(width * picture.height / picture.width)), Image.Resampling.LANCZOS)
