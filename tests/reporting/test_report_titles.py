"""What methods are called: ready ones, losses combined with them, and names of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from made_runs import Maker

from transkd.reporting import ReportOptions, build_report
from transkd.reporting.methods import configured_methods
from transkd.reporting.notes import shared_recipe

CONF = Path(__file__).parents[2] / "conf"
TAUGHT = ("teacher.weights=runs/teacher-s0/model",)
WARM_UP = "+distillation.losses.csf.schedule={name:warm_up,share:0.1}"
KD, CWD = "+distillation.losses.kd.weight=2.0", "+distillation.losses.cwd.weight=3.0"


def titles() -> list[str]:
    """Return the titles of the distilled students in the folder ``runs``."""
    (table,) = build_report(ReportOptions(("runs",))).tables
    return [row.method.title for row in table.rows if row.method.kind == "distilled"]


def rename(run: Path, name: str) -> None:
    """Give a run's method another name, as ``distillation.name=…`` does."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["distillation"]["name"] = name
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    results = (run / "results.json").read_text().replace('"distillation": "transkd_ea"', f'"distillation": "{name}"')
    (run / "results.json").write_text(results)


def test_every_ready_method_is_called_what_its_file_says(make: Maker) -> None:
    chosen = sorted(path.stem for path in (CONF / "distillation").glob("*.yaml"))
    assert configured_methods().keys() == set(chosen)
    assert configured_methods()["transkd_ea"] == ("csf", "ea")
    assert configured_methods()["transkd_base_stage2"] == ("csf", "pea")
    for method in ("transkd_base_stage2", "transkd_gl", "kd", "cirkd_kd"):
        make(method, overrides=TAUGHT)
    assert set(titles()) == {"transkd_base_stage2", "transkd_gl", "kd", "cirkd_kd"}


@pytest.mark.parametrize(
    ("method", "overrides", "title"),
    [
        ("transkd_ea", (KD, CWD, WARM_UP), "transkd_ea + kd + cwd"),
        ("transkd_ea", ("~distillation.losses.csf", KD), "transkd_ea + kd - csf"),
        ("kd", (CWD,), "kd + cwd"),
        ("none", (KD, CWD), "kd + cwd"),
    ],
)
def test_losses_that_were_combined_are_named(make: Maker, method: str, overrides: tuple[str, ...], title: str) -> None:
    """Also where no run of the method alone is there to tell it from."""
    make(method, overrides=(*TAUGHT, *overrides))
    assert titles() == [title]


def test_a_start_from_the_teachers_weights_is_part_of_the_method(make: Maker) -> None:
    """It stands beside students that started otherwise, and labels alone are not a plain student then."""
    start = (*TAUGHT, "student.weights=teacher")
    make.teacher(miou=0.7)
    make("none", at="selected", miou=0.55, overrides=start)
    make("none", at="scratch", miou=0.5)
    make("kd", at="kd", miou=0.52, overrides=TAUGHT)
    make("transkd_ea", at="both", miou=0.6, overrides=(*start, KD))
    rename(make("transkd_ea", at="named", miou=0.59, overrides=start), "mine")
    rename(make("transkd_ea", at="named-scratch", miou=0.51, overrides=TAUGHT), "mine")
    (table,) = build_report(ReportOptions(("runs",))).tables
    assert [(row.method.title, row.method.kind) for row in table.rows] == [
        ("teacher mit_b2", "teacher"),
        ("plain student", "plain"),
        ("weight selection + transkd_ea + kd", "distilled"),
        ("mine, student.weights teacher", "distilled"),
        ("weight selection", "distilled"),
        ("kd", "distilled"),
        ("mine", "distilled"),
    ]
    assert [row.recovered for row in table.rows][-3:-1] == pytest.approx([0.25, 0.1])
    assert "student.weights=scratch" in shared_recipe(table.runs)


def test_options_are_said_of_those_that_share_a_title(make: Maker) -> None:
    make("transkd_ea", overrides=TAUGHT)
    make("transkd_ea", at="a", overrides=(*TAUGHT, KD))
    make("transkd_ea", at="b", overrides=(*TAUGHT, KD, WARM_UP))
    make("transkd_ea", at="c", overrides=(*TAUGHT, "distillation.losses.ea.weight=0.5"))
    assert sorted(titles()) == [
        "transkd_ea + kd",
        "transkd_ea + kd, csf.schedule.name warm_up, csf.schedule.share 0.1",
        "transkd_ea, ea.weight 0.5",
        "transkd_ea, ea.weight 1.0",
    ]


def test_a_name_of_the_users_own_stands_as_it_is(make: Maker) -> None:
    rename(make("transkd_ea", overrides=(*TAUGHT, KD)), "ours (EA + logits)")
    assert titles() == ["ours (EA + logits)"]


def test_one_and_one_point_zero_are_one_method(make: Maker) -> None:
    for seed, weight in enumerate(("1", "1.0")):
        make("kd", seed, overrides=(*TAUGHT, f"distillation.losses.kd.weight={weight}"))
    assert titles() == ["kd"]


def test_false_is_another_option_than_none(make: Maker) -> None:
    """A loss may do by default what ``false`` turns off."""
    make("kd", overrides=TAUGHT)
    make("kd", 1, overrides=(*TAUGHT, "+distillation.losses.kd.some_option=false"))
    assert sorted(titles()) == ["kd", "kd, kd.some_option false"]
