"""What plots show."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from made_runs import BARE, TAUGHT, Maker, report
from PIL import Image

from transkd.errors import ConfigError
from transkd.reporting import draw_plot, report_files
from transkd.reporting.plots import classes_figure, mean_curve


def test_curves_are_means_where_all_were_validated(make: Maker) -> None:
    make("none", 0, curve=[(9, 0.1), (19, 0.2), (39, 0.4)])
    make("none", 1, curve=[(9, 0.3), (29, 0.3), (39, 0.5)])
    make("none", 2, curve=[])
    curve = mean_curve(report().tables[0].rows[0].method.runs)
    assert [step for step, _ in curve] == [10, 40]
    assert [miou.mean for _, miou in curve] == pytest.approx([0.2, 0.45])
    assert curve[0][1].std == pytest.approx(np.std([0.1, 0.3], ddof=1))


def with_classes(make: Maker, plain: dict[str, float], taught: dict[str, float]) -> None:
    """Write two runs that have nothing but classes to plot."""
    for method, overrides, classes in (("none", (), plain), ("kd", ("teacher.weights=random",), taught)):
        make(method, overrides=overrides, results={"per_class": classes, "latency_ms": None}, curve=())


def test_names_with_dollars_and_of_any_script_are_drawn(make: Maker, recwarn: pytest.WarningsRecorder) -> None:
    names = {"$\\foo$": 0.5, "a$b_^{": 0.4, "道路 \U0001f600": 0.3, "tab\tand\x07bell": 0.2}
    with_classes(make, names, names)
    ElementTree.fromstring(report_files(report())["classes.svg"])
    assert [str(one.message) for one in recwarn if "Glyph" in str(one.message)] == []


def test_a_plot_of_very_many_classes_has_those_that_change_most(make: Maker) -> None:
    plain = {f"class {n}": 0.5 for n in range(300)}
    with_classes(make, plain, {f"class {n}": 0.5 + n / 10_000 for n in range(300)})
    figure = classes_figure(report().tables[0].rows)
    assert figure is not None
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"class {n}" for n in range(220, 300)]
    assert axes.get_xlabel() == "the 80 of 300 classes that change most"


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
