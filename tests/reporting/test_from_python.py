"""A report in one call, and what a notebook shows of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import transkd
from transkd.errors import ConfigError
from transkd.reporting import ReportOptions, build_report, draw_plot
from transkd.reporting import plots as all_plots
from transkd.reporting.files import markdown_lines, report_json


def test_it_is_the_report_of_the_options(field: Path) -> None:
    ours = transkd.report(field, exclude=("distillation.name:cwd",), confidence=0.9)
    options = ReportOptions((str(field),), exclude=("distillation.name:cwd",), confidence=0.9)
    assert report_json(ours) == report_json(build_report(options))


def test_a_notebook_shows_the_scores(field: Path) -> None:
    report = transkd.report(field)
    shown = report._repr_markdown_()
    page = "\n".join(markdown_lines(report, [{}]))
    lines = [line for line in shown.splitlines() if line]
    assert lines[0].startswith("| method | seeds | mIoU, %")
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(report.tables[0].rows)
    assert set(lines) <= set(page.splitlines())
    assert "transkd-train" not in shown
    assert repr(report) == "<Report: 13 runs, 1 table>"


def test_no_runs_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no finished run"):
        transkd.report(tmp_path)


def test_a_plot_is_that_of_the_files(field: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_plots, "classes_figure", lambda *_: None)
    monkeypatch.setattr(all_plots, "cost_figure", lambda *_: None)
    report = transkd.report(field)
    plots = {plot.name: plot.png for plot in all_plots.table_plots(report.tables[0], 0.95)}
    assert set(plots) == {"gains", "curves"}
    theirs = Image.open(io.BytesIO(plots["gains"])).convert("RGB")
    assert np.array_equal(np.asarray(draw_plot(report, "gains", width=theirs.width)), np.asarray(theirs))
    assert draw_plot(report, "gains", width=300).width == 300


def test_plots_that_cannot_be_are_told(field: Path) -> None:
    with pytest.raises(ConfigError, match="there is no plot 'gain'; did you mean 'gains'"):
        draw_plot(transkd.report(field), "gain")
    plain = transkd.report(field, only=("distillation.name:none", "trainer.max_epochs:40"))
    with pytest.raises(ConfigError, match="the plot 'gains' has nothing to show: no run of the table"):
        draw_plot(plain, "gains")
