"""A report in one call, and what a notebook shows of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from made_runs import BARE, TAUGHT, Maker, report
from PIL import Image

import transkd
from transkd.errors import ConfigError
from transkd.reporting import draw_plot, report_files
from transkd.reporting.files import markdown_lines, report_json


def test_from_python_and_in_a_notebook(field: Path) -> None:
    ours = transkd.report("runs", exclude=("distillation.name:cwd",), confidence=0.9)
    assert report_json(ours) == report_json(report(exclude=("distillation.name:cwd",), confidence=0.9))
    assert repr(ours) == "<Report: 10 runs, 1 table>"
    lines = [line for line in ours._repr_markdown_().splitlines() if line]
    assert lines[0].startswith("| method | seeds | mIoU, %")
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(ours.tables[0].rows)
    assert set(lines) <= set(markdown_lines(ours, [{}]))
    with pytest.raises(ConfigError, match="there is no finished run"):
        transkd.report(field / "made-kd-s0/checkpoints")


def test_a_plot_is_that_of_the_files(make: Maker) -> None:
    make("none", results=BARE, curve=())
    make("kd", overrides=TAUGHT, results=BARE, curve=())
    found = report()
    theirs = Image.open(io.BytesIO(report_files(found)["gains.png"])).convert("RGB")
    assert np.array_equal(np.asarray(draw_plot(found, "gains", width=theirs.width)), np.asarray(theirs))
    assert draw_plot(found, "gains", width=300).width == 300
    with pytest.raises(ConfigError, match="there is no plot 'gain'; did you mean 'gains'"):
        draw_plot(found, "gain")
    with pytest.raises(ConfigError, match="the plot 'curves' has nothing to show: no run of the table"):
        draw_plot(found, "curves")
