"""Which runs are one method, what it is called, which method others are compared with, and who taught it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from made_runs import TAUGHT, Maker, change, refusal, report, titles

from transkd.reporting import ReportOptions, build_report
from transkd.reporting.methods import configured_methods
from transkd.reporting.notes import RECIPE, provenance

CONF = Path(__file__).parents[2] / "conf"
WARM_UP = "+distillation.losses.csf.schedule={name:warm_up,share:0.1}"
KD, CWD = "+distillation.losses.kd.weight=2.0", "+distillation.losses.cwd.weight=3.0"


def rename(run: Path, name: str) -> None:
    """Give a run's method another name, as ``distillation.name=…`` does."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["distillation"]["name"] = name
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    change(run, distillation=name)


def test_every_method_of_conf_is_called_what_its_file_is(make: Maker) -> None:
    assert configured_methods().keys() == {path.stem for path in (CONF / "distillation").glob("*.yaml")}
    assert configured_methods()["transkd_ea"] == ("csf", "ea")
    assert configured_methods()["transkd_base_stage2"] == ("csf", "pea")
    for method in ("transkd_base_stage2", "cirkd_kd"):
        make(method, overrides=TAUGHT)
    assert set(titles()) == {"transkd_base_stage2", "cirkd_kd"}


@pytest.mark.parametrize(
    ("method", "overrides", "title"),
    [
        ("transkd_ea", (KD, CWD, WARM_UP), "transkd_ea + kd + cwd"),
        ("transkd_ea", ("~distillation.losses.csf", KD), "transkd_ea + kd - csf"),
        ("none", (KD, CWD), "kd + cwd"),
    ],
)
def test_losses_that_were_added_or_removed_are_named(
    make: Maker, method: str, overrides: tuple[str, ...], title: str
) -> None:
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
    (table,) = report().tables
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
    assert "student.weights=scratch" in provenance(table.runs)[RECIPE]


def test_options_distinguish_methods_of_one_name(make: Maker) -> None:
    """A loss may do by default what ``false`` turns off, so that is another option than none."""
    make("transkd_ea", overrides=TAUGHT)
    make("transkd_ea", at="a", overrides=(*TAUGHT, KD))
    make("transkd_ea", at="b", overrides=(*TAUGHT, KD, WARM_UP))
    make("transkd_ea", at="c", overrides=(*TAUGHT, "distillation.losses.ea.weight=0.5"))
    make("kd", overrides=TAUGHT)
    make("kd", 1, overrides=(*TAUGHT, "+distillation.losses.kd.some_option=false"))
    assert sorted(titles()) == [
        "kd",
        "kd, kd.some_option false",
        "transkd_ea + kd",
        "transkd_ea + kd, csf.schedule.name warm_up, csf.schedule.share 0.1",
        "transkd_ea, ea.weight 0.5",
        "transkd_ea, ea.weight 1.0",
    ]


def test_each_network_has_its_own_plain_student(make: Maker) -> None:
    for student, plain, taught in (("mit_b0", 0.4, 0.45), ("pvt_v2_b0", 0.5, 0.58)):
        results = {"backbone": student, "params": len(student)}
        make("none", miou=plain, at=f"{student}/none", overrides=(f"student={student}",), results=results)
        make("kd", miou=taught, at=f"{student}/kd", overrides=(*TAUGHT, f"student={student}"), results=results)
    rows = {row.method.title: row for row in report().tables[0].rows}
    assert list(rows) == ["mit_b0, plain student", "pvt_v2_b0, plain student", "mit_b0, kd", "pvt_v2_b0, kd"]
    gains = [rows[f"{student}, kd"].gain for student in ("mit_b0", "pvt_v2_b0")]
    assert [gain and gain.mean for gain in gains] == pytest.approx([0.05, 0.08])


def test_two_runs_of_a_method_and_seed(make: Maker) -> None:
    make("none", miou=0.4, at="a")
    make("none", miou=0.4, at="b")
    make("none", 1, miou=0.5)
    found = report()
    row = found.tables[0].rows[0]
    assert (row.method.seeds, row.miou.mean) == ((0, 1), pytest.approx(0.45))
    assert found.notices == ("runs/b repeats plain student, seed 0, with equal results, and counts once.",)
    change(make.root / "b", miou=0.41)
    assert refusal() == (
        "plain student, seed 0 has different results, so that a mean would not be over seeds: mIoU 40.00 in runs/a and "
        "41.00 in runs/b; leave one of them out, such as by exclude=folder:runs/b"
    )
    assert report(exclude=("folder:runs/b",)).tables[0].rows[0].method.seeds == (0, 1)


def test_a_baseline_has_to_be_one_method(field: Path) -> None:
    for baseline in ("transkd_e", "teacher mit_b2"):
        assert f"baseline={baseline}: no method has this title; " in refusal(baseline=baseline)
    assert "cwd of one network: name one of them" in refusal(baseline="?*d")


@pytest.fixture
def taught(make: Maker) -> Maker:
    """Write a teacher, a plain student and a distilled one."""
    make.teacher(miou=0.7)
    make("none", miou=0.4)
    make("kd", miou=0.5, overrides=TAUGHT)
    return make


def test_teachers_are_found_by_the_weights_that_students_name(taught: Maker, tmp_path: Path) -> None:
    row = report().tables[0].rows[-1]
    assert (row.method.teachers[0].folder.name, row.recovered) == ("teacher-s0", pytest.approx(0.1 / 0.3))
    (tmp_path / "runs/teacher-s0").rename(tmp_path / "runs/moved")
    assert report().tables[0].rows[-1].recovered == pytest.approx(0.1 / 0.3), "by the output in the run's config"
    (tmp_path / "runs/moved").rename(tmp_path / "gone")
    found = report()
    assert found.notices[0].startswith("The run that saved teacher.weights=runs/teacher-s0/model was not found")
    assert any(note.startswith("There is no teacher's run in this table") for note in found.tables[0].notes)
    assert report(teacher_run=("gone",)).tables[0].rows[-1].recovered == pytest.approx(0.1 / 0.3)
    assert "teacher_run=nowhere: there is no such folder" in refusal(teacher_run=("nowhere",))


def test_a_teacher_outside_of_what_is_reported(make: Maker) -> None:
    make.teacher()
    make("none", at="few/none")
    make("kd", at="few/kd", overrides=TAUGHT)
    (table,) = build_report(ReportOptions(("runs/few",))).tables
    assert [row.method.title for row in table.rows] == ["teacher mit_b2", "plain student", "kd"]


def test_no_teacher_at_all(taught: Maker) -> None:
    found = report(teacher_run=("none",))
    assert [row.recovered for row in found.tables[0].rows] == [None, None]
    assert [one.reason for one in found.left_out] == ["a teacher, and teacher_run=none"]


def test_a_teacher_that_was_scored_in_another_way(make: Maker) -> None:
    make.teacher(results={"protocol": {"dataset": "cityscapes", "split": "test"}})
    make("none")
    make("kd", overrides=TAUGHT)
    note = report().tables[0].notes[0]
    assert note.startswith("The teacher runs/teacher-s0 was scored in another way than runs/made-kd-s0: ")
    assert "protocol.split: test, not val" in note
    assert "was scored in another way" in refusal(teacher_run=("runs/teacher-s0",))


def test_a_teacher_below_the_plain_student_leaves_no_gap(make: Maker) -> None:
    make.teacher(miou=0.3)
    make("none", miou=0.4)
    make("kd", miou=0.5, overrides=TAUGHT)
    (table,) = report().tables
    assert table.rows[-1].recovered is None
    assert "The teacher is not above the plain student, so there is no gap to recover: kd." in table.notes


def test_a_random_teacher_leaves_no_gap(make: Maker) -> None:
    make("kd", overrides=("teacher.weights=random",))
    assert report().notices[0].endswith("a teacher that has learned nothing, so there is no gap to recover.")


def test_a_student_that_teaches_its_like_is_still_the_plain_student(make: Maker) -> None:
    make("none", at="born", miou=0.4)
    make("kd", miou=0.45, overrides=("teacher=mit_b0", "teacher.weights=runs/born/model"))
    (table,) = report().tables
    assert [row.method.kind for row in table.rows] == ["teacher", "plain", "distilled"]
    assert table.rows[-1].gain is not None
    assert table.rows[-1].gain.mean == pytest.approx(0.05)


def test_a_teacher_that_is_another_network_now_is_not_taken(make: Maker) -> None:
    """Its folder was trained anew since it taught."""
    make.teacher(miou=0.7)
    make("none", miou=0.4)
    make("kd", miou=0.5, overrides=("teacher=mit_b1", *TAUGHT))
    found = report(exclude=("student.backbone:mit_b2",))
    assert found.notices == (
        "The run that saved teacher.weights=runs/teacher-s0/model is of another network now (runs/teacher-s0), so the "
        "share of the gap to it is not known: add its folder to runs=…, or name it by teacher_run=…",
    )
    assert found.tables[0].rows[-1].recovered is None
