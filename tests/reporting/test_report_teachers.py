"""Who taught whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import TAUGHT, Maker, refusal, report, titles

from transkd.reporting import ReportOptions, build_report


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
    assert titles() == ["plain student", "kd"]
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
    assert [(row.method.title, row.recovered) for row in found.tables[0].rows] == [
        ("plain student", None),
        ("kd", None),
    ]
    assert [(one.folder.name, one.reason) for one in found.left_out] == [
        ("teacher-s0", "a teacher, and teacher_run=none")
    ]


def test_a_teacher_alone(make: Maker) -> None:
    make.teacher()
    assert refusal(teacher_run=("runs/teacher-s0",)) == (
        "there is no run but the teacher's (runs/teacher-s0): add those of students to runs=…"
    )


def test_a_teacher_that_was_scored_in_another_way(make: Maker) -> None:
    make.teacher(results={"protocol": {"dataset": "cityscapes", "split": "test"}})
    make("none")
    make("kd", overrides=TAUGHT)
    assert titles() == ["plain student", "kd"]
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


@pytest.mark.parametrize(
    ("weights", "notice"),
    [
        (
            "random",
            "teacher.weights=random is a teacher that has learned nothing, so there is no gap to recover.",
        ),
        ('"~nobody-of-this-name/model"', "The run that saved teacher.weights=~nobody-of-this-name/model was not found"),
        ("x" * 5000, "The run that saved teacher.weights=x"),
    ],
)
def test_weights_of_no_run(make: Maker, weights: str, notice: str) -> None:
    make("kd", overrides=(f"teacher.weights={weights}",))
    assert report().notices[0].startswith(notice)
