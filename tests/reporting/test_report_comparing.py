"""What may stand in one table, who taught whom, and which runs count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_runs import Maker

from transkd.errors import ConfigError
from transkd.evaluation import protocol_differences
from transkd.reporting import Report, ReportOptions, build_report
from transkd.reporting.collect import collect_runs
from transkd.runs.finished import score_facts
from transkd.runs.recipe import differing_keys

TAUGHT = ("teacher.weights=runs/teacher-s0/model",)


def report(*, tables: str = "one", **options: Any) -> Report:
    """Return the report on the folder ``runs``."""
    return build_report(ReportOptions(("runs",), split=tables == "split", **options))


def titles(found: Report) -> list[list[str]]:
    """Return the methods of each table."""
    return [[row.method.title for row in table.rows] for table in found.tables]


def refusal(**options: Any) -> str:
    """Return the message that the report is refused by."""
    with pytest.raises(ConfigError) as error:
        report(**options)
    return str(error.value)


def change(run: Path, **values: object) -> None:
    """Change values in ``results.json``."""
    path = run / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("data.batch_size=4", "data.batch_size: 8 in runs/made-none-s0; 4 in runs/other"),
        ("optimizer.lr=0.1", "optimizer.lr: 0.0005 in runs/made-none-s0; 0.1 in runs/other"),
        ("schedule.power=2", "schedule.power: 1.0 in runs/made-none-s0; 2 in runs/other"),
        ("augment=none", "augment.recipe: standard in runs/made-none-s0; none in runs/other"),
        ("trainer.max_epochs=41", "trainer.max_epochs: 40 in runs/made-none-s0; 41 in runs/other"),
        ("trainer.devices=2", "trainer.devices: 1 in runs/made-none-s0; 2 in runs/other"),
        ("checkpoint.select=last", "checkpoint.select: best in runs/made-none-s0; last in runs/other"),
        ("student.weights=pretrained", "student.weights: scratch in runs/made-none-s0; pretrained in runs/other"),
        ("data.train_split=val", "data.train_split: train in runs/made-none-s0; val in runs/other"),
    ],
)
def test_recipes_do_not_mix(make: Maker, override: str, line: str) -> None:
    make("none")
    make("kd", at="other", overrides=(*TAUGHT, override))
    text = refusal()
    assert text.startswith("these runs do not compare in one table, since they were not made in one way:\n  ")
    assert f"  {line}\n" in text
    assert "tables=split" in text


def test_what_is_no_recipe_may_differ(make: Maker) -> None:
    make("none")
    elsewhere = ("data.root=there", "data.workers=3", "trainer.accelerator=cpu", "pictures=0", "compile=true")
    make("none", 1, overrides=elsewhere)
    assert titles(report()) == [["plain student"]]


@pytest.mark.parametrize(
    ("results", "line"),
    [
        ({"data": {"count": 5, "sha256": "cd" * 32}}, "data.sha256: abababababababab in runs/a; cdcdcdcdcdcdcdcd in"),
        ({"data": {"count": 6, "sha256": "ab" * 32}}, "data.count: 5 in runs/a; 6 in runs/b"),
        ({"protocol": {"dataset": "cityscapes", "flip": True}}, "protocol.flip: false in runs/a; true in runs/b"),
        ({"training": {"steps": 30}}, "training.steps: 40 in runs/a; 30 in runs/b"),
    ],
)
def test_protocols_data_and_budgets_do_not_mix(make: Maker, results: dict[str, Any], line: str) -> None:
    make("none", at="a")
    make("none", 1, at="b", results=results)
    assert f"  {line}" in refusal()


def test_protocols_compare_as_evaluation_says(make: Maker) -> None:
    protocols = [{"dataset": "x"}, {"dataset": "x", "flip": False}, {"dataset": "x", "name": "full", "scales": [2.0]}]
    for seed, protocol in enumerate(protocols):
        make("none", seed, results={"protocol": protocol})
    facts = [score_facts(run) for run in collect_runs(["runs"]).runs]
    for one in range(3):
        for other in range(3):
            theirs = [line.split(":")[0] for line in protocol_differences(protocols[one], protocols[other])]
            assert [key.removeprefix("protocol.") for key in differing_keys(facts[one], facts[other])] == theirs


def test_a_budget_of_time_lets_steps_differ(make: Maker) -> None:
    timed = ("trainer.max_time=00:01:00:00",)
    for seed, steps in enumerate((30, 37)):
        make("none", seed, overrides=timed, results={"training": {"steps": steps, "stopped_by": "time"}})
    (table,) = report().tables
    assert table.rows[0].costs.steps == 33.5
    assert any(note.startswith("Runs were stopped by the clock") for note in table.notes)


def test_runs_that_recorded_no_steps_join_the_others(make: Maker) -> None:
    make("none", results={"training": {"seconds": 3.0}})
    make("none", 1)
    assert report().tables[0].rows[0].method.seeds == (0, 1)


def test_a_table_for_each_group(make: Maker) -> None:
    make("none", at="brief", overrides=("trainer.max_epochs=40",))
    make("none", at="long", overrides=("trainer.max_epochs=80",), results={"training": {"steps": 80}})
    found = report(tables="split")
    assert [table.title for table in found.tables] == [
        "trainer.max_epochs=40, training.steps=40",
        "trainer.max_epochs=80, training.steps=80",
    ]
    assert "choose those that do, such as by only=trainer.max_epochs:40;" in refusal()
    assert titles(report(only=("trainer.max_epochs:80",))) == [["plain student"]]
    assert titles(report(exclude=("folder:*long",))) == [["plain student"]]


def test_choosing(make: Maker) -> None:
    for seed in range(4):
        make("none", seed)
    make("kd", 1, overrides=TAUGHT)
    assert report(only=("seed:0", "seed:2")).tables[0].rows[0].method.seeds == (0, 2)
    assert titles(report(only=("seed:1", "distillation.name:k*"))) == [["kd"]]
    assert len(report(only=("optimizer.lr:5e-4", "ema_decay:null")).tables[0].runs) == 5
    assert report(exclude=("seed:0", "distillation.name:kd")).tables[0].rows[0].method.seeds == (1, 2, 3)
    assert refusal(only=("sed:1",)) == "no run has a key 'sed'; did you mean 'seed'?"
    assert refusal(only=("seed:9",)) == "only=seed:9: none of the 5 runs is left; seed is 1, 0, 2, 3"
    assert "'seed=1' is not of the form KEY:VALUE" in refusal(only=("seed=1",))


def test_methods_are_told_apart_by_what_differs(make: Maker) -> None:
    make("transkd_base", overrides=TAUGHT)
    heavy = (*TAUGHT, "distillation.losses.pea.weight=3.0")
    make("transkd_base", at="heavy", overrides=heavy)
    make("none")
    assert sorted(titles(report())[0]) == [
        "plain student",
        "transkd_base, pea.weight 1.0",
        "transkd_base, pea.weight 3.0",
    ]


def test_each_network_has_its_own_plain_student(make: Maker) -> None:
    for student, plain, taught in (("mit_b0", 0.4, 0.45), ("pvt_v2_b0", 0.5, 0.58)):
        chosen = f"student={student}"
        results = {"backbone": student, "params": len(student)}
        make("none", miou=plain, at=f"{student}/none", overrides=(chosen,), results=results)
        make("kd", miou=taught, at=f"{student}/kd", overrides=(*TAUGHT, chosen), results=results)
    rows = {row.method.title: row for row in report().tables[0].rows}
    assert list(rows) == ["mit_b0, plain student", "pvt_v2_b0, plain student", "mit_b0, kd", "pvt_v2_b0, kd"]
    gains = [rows[f"{student}, kd"].gain for student in ("mit_b0", "pvt_v2_b0")]
    assert [gain and gain.mean for gain in gains] == pytest.approx([0.05, 0.08])


def test_a_head_that_is_named_is_the_usual_one(make: Maker) -> None:
    make("none")
    make("none", 1, overrides=("student.head=segformer",))
    assert titles(report()) == [["plain student"]]
    make("none", 2, overrides=("student.head=semantic_fpn",))
    assert sorted(titles(report())[0]) == ["head segformer, plain student", "head semantic_fpn, plain student"]


def test_teachers_are_found_by_the_weights_that_students_name(make: Maker, tmp_path: Path) -> None:
    teacher = make.teacher(miou=0.7)
    make("none", miou=0.4)
    make("kd", miou=0.5, overrides=TAUGHT)
    row = report().tables[0].rows[-1]
    assert row.method.teachers[0].folder.name == "teacher-s0"
    assert row.recovered == pytest.approx(0.1 / 0.3)
    teacher.rename(tmp_path / "runs/moved")
    assert report().tables[0].rows[-1].recovered == pytest.approx(0.1 / 0.3), "by what the run calls its output"
    (tmp_path / "runs/moved").rename(tmp_path / "gone")
    found = report()
    assert titles(found) == [["plain student", "kd"]]
    assert found.notices[0].startswith("The run that saved teacher.weights=runs/teacher-s0/model was not found")
    assert any(note.startswith("There is no teacher's run in this table") for note in found.tables[0].notes)
    assert report(teacher_run=("gone",)).tables[0].rows[-1].recovered == pytest.approx(0.1 / 0.3)
    assert "teacher_run=nowhere: there is no such folder" in refusal(teacher_run=("nowhere",))


def test_a_teacher_outside_of_what_is_reported(make: Maker) -> None:
    make.teacher()
    make("none", at="few/none")
    make("kd", at="few/kd", overrides=TAUGHT)
    found = build_report(ReportOptions(("runs/few",)))
    assert titles(found) == [["teacher mit_b2", "plain student", "kd"]]


def test_no_teacher_at_all(make: Maker) -> None:
    make.teacher()
    make("none")
    make("kd", overrides=TAUGHT)
    found = report(teacher_run=("none",))
    assert titles(found) == [["plain student", "kd"]]
    assert found.tables[0].rows[1].recovered is None
    assert [(one.folder.name, one.reason) for one in found.left_out] == [
        ("teacher-s0", "a teacher, and teacher_run=none")
    ]


def test_a_teacher_that_was_scored_in_another_way(make: Maker) -> None:
    make.teacher(results={"protocol": {"dataset": "cityscapes", "split": "test"}})
    make("none")
    make("kd", overrides=TAUGHT)
    found = report()
    assert titles(found) == [["plain student", "kd"]]
    said = "The teacher runs/teacher-s0 was scored in another way than runs/made-kd-s0: "
    assert found.tables[0].notes[0].startswith(said)
    assert "protocol.split: test, not val" in found.tables[0].notes[0]
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


def test_a_teacher_alone(make: Maker) -> None:
    make.teacher()
    assert refusal(teacher_run=("runs/teacher-s0",)) == (
        "there is no run but the teacher's (runs/teacher-s0): add those of students to runs=…"
    )


def test_two_runs_of_a_method_and_seed(make: Maker) -> None:
    make("none", miou=0.4, at="a")
    make("none", miou=0.4, at="b")
    make("none", 1, miou=0.5)
    found = report()
    row = found.tables[0].rows[0]
    assert (row.method.seeds, row.miou.mean) == ((0, 1), pytest.approx(0.45))
    assert found.notices == ("runs/b repeats plain student, seed 0, with equal results, and counts once.",)
    change(make.root / "b", miou=0.41)
    text = refusal()
    assert "  plain student, seed 0: runs/a (mIoU 40.00) and runs/b (mIoU 41.00)\n" in text
    assert text.endswith("leave one of each out, such as by exclude=folder:runs/b")
    assert report(exclude=("folder:runs/b",)).tables[0].rows[0].method.seeds == (0, 1)


def test_two_runs_of_one_name_are_told_with_what_they_differ_in(make: Maker) -> None:
    make("none", at="x/same")
    make("none", 1, at="y/same")
    assert report().notices == ("2 runs are called same: runs/x/same, runs/y/same; they differ in seed.",)
    make("kd", 2, at="z/same", overrides=TAUGHT)
    (notice, _) = report().notices
    assert notice == (
        "3 runs are called same: runs/x/same, runs/y/same, runs/z/same; they differ in teacher.weights, "
        "distillation, seed."
    )


def test_copies_of_a_run_are_told(make: Maker) -> None:
    for folder in ("x", "y"):
        make("none", at=f"{folder}/same")
    assert report().notices[0] == (
        "2 runs are called same: runs/x/same, runs/y/same; they have the same settings and scores."
    )


def test_classes_that_differ_do_not_mix(make: Maker) -> None:
    """The same files and protocol, but a folder's list of classes was edited between the runs."""
    make("none", results={"per_class": {"road": 0.5, "car": 0.4}})
    make("none", 1, results={"per_class": {"car": 0.4, "road": 0.5}})
    assert titles(report()) == [["plain student"]]
    make("none", 2, results={"per_class": {"road": 0.5, "tram": 0.4}})
    text = refusal()
    assert (
        "  classes: car beside 1 that all have in runs/made-none-s0 and 1 more; "
        "tram beside 1 that all have in runs/made-none-s2\nleave runs out by exclude=KEY:VALUE"
    ) in text
    assert [table.title for table in report(tables="split").tables] == [
        "classes=car beside 1 that all have",
        "classes=tram beside 1 that all have",
    ]


def test_a_teacher_that_is_another_network_now_is_not_taken(make: Maker) -> None:
    """Its folder was trained anew since it taught."""
    make.teacher(miou=0.7)
    make("none", miou=0.4)
    make("kd", miou=0.5, overrides=("teacher=mit_b1", *TAUGHT))
    found = report(exclude=("student.backbone:mit_b2",))
    assert found.notices == (
        "teacher.weights=runs/teacher-s0/model was a mit_b1 when it taught, and leads to the run runs/teacher-s0 of a "
        "mit_b2 now, so the share of the gap to it is not known: name the right run by teacher_run=…",
    )
    assert found.tables[0].rows[-1].recovered is None


def test_a_random_teacher_is_not_looked_for(make: Maker) -> None:
    make("kd", overrides=("teacher.weights=random",))
    assert report().notices == (
        "teacher.weights=random is a teacher that has learned nothing, so there is no gap to it to recover.",
    )


@pytest.mark.parametrize("weights", ['"~nobody-of-this-name/model"', "x" * 5000])
def test_weights_that_are_no_path_are_no_teacher(make: Maker, weights: str) -> None:
    make("kd", overrides=(f"teacher.weights={weights}",))
    assert report().notices[0].startswith(f"The run that saved teacher.weights={weights.strip(chr(34))} was not found")


def test_a_date_that_does_not_exist_is_text(make: Maker) -> None:
    make("none", at="2026-02-31")
    make("none", 1, at="other")
    assert report(only=("name:2026-02-31",)).tables[0].rows[0].method.seeds == (0,)
