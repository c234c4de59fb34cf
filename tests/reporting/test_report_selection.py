"""Which runs are selected, and which may stand in one table."""

from __future__ import annotations

from typing import Any

import pytest
from made_runs import TAUGHT, Maker, refusal, report, titles


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("data.batch_size=4", "data.batch_size: 8 in runs/made-none-s0; 4 in runs/other"),
        ("augment=none", "augment.recipe: standard in runs/made-none-s0; none in runs/other"),
        ("trainer.devices=2", "trainer.devices: 1 in runs/made-none-s0; 2 in runs/other"),
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


def test_what_is_no_recipe_may_differ(make: Maker) -> None:
    make("none")
    make("none", 1, overrides=("data.root=there", "data.workers=3", "trainer.accelerator=cpu", "compile=true"))
    make("none", 2, results={"training": {"seconds": 3.0}})  # of a run that recorded no steps
    assert report().tables[0].rows[0].method.seeds == (0, 1, 2)


def test_a_budget_of_time_lets_steps_differ(make: Maker) -> None:
    for seed, steps in enumerate((30, 37)):
        training = {"steps": steps, "stopped_by": "time"}
        make("none", seed, overrides=("trainer.max_time=00:01:00:00",), results={"training": training})
    (table,) = report().tables
    assert any(note.startswith("Runs were stopped by the clock") for note in table.notes)


def test_a_table_for_each_group(make: Maker) -> None:
    make("none", at="brief", overrides=("trainer.max_epochs=40",))
    make("none", at="long", overrides=("trainer.max_epochs=80",), results={"training": {"steps": 80}})
    assert [table.title for table in report(split=True).tables] == [
        "trainer.max_epochs=40, training.steps=40",
        "trainer.max_epochs=80, training.steps=80",
    ]
    assert "choose those that do by only=KEY:VALUE" in refusal()
    assert titles(only=("trainer.max_epochs:80",)) == titles(exclude=("folder:*long",)) == ["plain student"]


def test_classes_that_differ_do_not_mix(make: Maker) -> None:
    """The same files and protocol, but a folder's list of classes was edited between the runs."""
    make("none", results={"per_class": {"road": 0.5, "car": 0.4}})
    make("none", 1, results={"per_class": {"car": 0.4, "road": 0.5}})
    assert titles() == ["plain student"]
    make("none", 2, results={"per_class": {"road": 0.5, "tram": 0.4}})
    assert (
        "  classes: car beside 1 that all have in runs/made-none-s0 and 1 more; "
        "tram beside 1 that all have in runs/made-none-s2\nchoose those that do by"
    ) in refusal()


def test_conditions(make: Maker) -> None:
    for seed in range(4):
        make("none", seed, at="2026-02-31" if seed == 3 else None)
    make("kd", 1, overrides=TAUGHT)
    assert report(only=("seed:0", "seed:2")).tables[0].rows[0].method.seeds == (0, 2)
    assert titles(only=("seed:1", "distillation.name:k*")) == ["kd"]
    assert len(report(only=("optimizer.lr:5e-4", "ema_decay:null")).tables[0].runs) == 5
    assert report(exclude=("seed:0", "distillation.name:kd")).tables[0].rows[0].method.seeds == (1, 2, 3)
    assert report(only=("name:2026-02-31",)).tables[0].rows[0].method.seeds == (3,), "no date, so text"
    assert refusal(only=("sed:1",)) == "no run has a key 'sed'; did you mean 'seed'?"
    assert refusal(only=("seed:9",)) == "only=seed:9: none of the 5 runs is left; seed is 3, 1, 0, 2"
    assert "'seed=1' is not of the form KEY:VALUE" in refusal(only=("seed=1",))
