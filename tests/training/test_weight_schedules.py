"""Weights of losses over a training: numbers worked out by hand, and every mistake told."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from test_distill_module import BATCH, quiet_trainer
from tiny_runs import rows

from transkd import DistillModule, SceneDataModule, Segmenter, create_segmenter
from transkd.errors import ConfigError
from transkd.options import find_problems
from transkd.training.config import TrainConfig
from transkd.training.schedules import LinearEpochDecay, Weighing

DISTILLED = "distillation=transkd_base"


def segmenters() -> tuple[Segmenter, Segmenter]:
    return create_segmenter("tiny", 19), create_segmenter("tiny_teacher", 19)


def over(steps: int, schedule: object, base: float = 1.0) -> list[float]:
    weight = Weighing(weight=base, schedule=schedule).loss_weight()
    return [weight.at(step, steps) for step in range(steps + 1)]


def test_constant() -> None:
    assert over(4, None, 0.5) == over(4, {"name": "constant"}, 0.5) == [0.5] * 5
    assert Weighing(schedule={"name": "constant"}).loss_weight().is_constant


def test_warm_up_rises_linearly_from_its_beginning() -> None:
    assert over(10, {"name": "warm_up", "share": 0.5}, 2.0) == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, *[2] * 6])
    late = over(10, {"name": "warm_up", "begin": 0.2, "share": 0.4, "start": 0.5})
    assert late == pytest.approx([0.5, 0.5, 0.5, 0.625, 0.75, 0.875, *[1] * 5])


def test_decay_falls_to_its_end_and_stays_there() -> None:
    assert over(10, {"name": "decay", "share": 0.5, "end": 0.2}) == pytest.approx(
        [1, 0.84, 0.68, 0.52, 0.36, *[0.2] * 6]
    )
    cosine = over(4, {"name": "decay", "shape": "cosine"})
    assert cosine == pytest.approx([1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0])
    assert over(10, {"name": "decay", "begin": 0.8}) == pytest.approx([*[1] * 9, 0.5, 0])


def test_the_factors_of_several_multiply() -> None:
    schedule = [{"name": "warm_up", "share": 0.5}, {"name": "decay", "begin": 0.25, "share": 0.5}]
    assert over(8, schedule, 4.0) == pytest.approx([0, 1, 2, 4 * 0.75 * 0.75, 4 * 0.5, 4 * 0.25, 0, 0, 0])
    assert str(Weighing(weight=4, schedule=schedule).loss_weight()) == "4 x warm_up x decay"


WRONG = {
    "warm_upp": ({"name": "warm_upp"}, "schedule.name: there is no such choice; did you mean 'warm_up'?"),
    "no name": ({"share": 0.1}, "schedule.name: is missing"),
    "range": ({"name": "warm_up", "share": 0}, "schedule.share: give a number above 0 (it is 0)"),
    "not a number": ({"name": "decay", "end": math.nan}, "schedule.end: give 1 or less (it is nan)"),
    "shape": (
        {"name": "decay", "shape": "cosin"},
        "schedule.shape: there is no such choice; did you mean 'cosine'? (it is 'cosin')",
    ),
    "too long": (
        {"name": "decay", "begin": 0.7, "share": 0.5},
        "schedule: begin and share are shares of the training and may add up to 1 (they are 0.7 and 0.5)",
    ),
    "word": ("warm_up", "schedule: give {name: warm_up|decay|constant, …} or a list of such (it is 'warm_up')"),
    "in a list": (
        [{"name": "constant"}, {"name": "decay", "end": 2}],
        "schedule.1.end: give 1 or less (it is 2)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistaken_schedule_is_told_by_config_and_module_alike(case: str, run, tmp_path: Path) -> None:
    schedule, said = WRONG[case]
    values = run.config(tmp_path / "run", DISTILLED)
    values["distillation"]["losses"]["csf"]["schedule"] = schedule
    assert [str(problem) for problem in find_problems(TrainConfig, values)] == [f"distillation.losses.csf.{said}"]
    with pytest.raises(ConfigError) as refusal:
        DistillModule(*segmenters(), {"csf": {"schedule": schedule}})
    assert str(refusal.value) == f"distillation loss 'csf': {said}"


@pytest.mark.parametrize("schedule", ["the schedule of losses.csf", "the learning-rate schedule"])
def test_a_schedule_needs_a_training_of_known_length(schedule: str, scenes_root: Path, tmp_path: Path) -> None:
    decay = {"name": "decay"} if "csf" in schedule else None
    rate = LinearEpochDecay() if "csf" in schedule else None
    module = DistillModule(*segmenters(), {"csf": {"schedule": decay}}, schedule=rate)
    data = SceneDataModule("cityscapes", scenes_root, size=[64, 64], batch_size=3, workers=0)
    with pytest.raises(ConfigError, match=f"{schedule} spans the training, whose length is unknown: give trainer"):
        quiet_trainer(tmp_path, max_epochs=-1, max_time="00:01:00:00").fit(module, data)


def test_a_loss_of_weight_0_is_left_out_and_said_so() -> None:
    student, teacher = segmenters()
    with pytest.warns(UserWarning, match=r"losses\.csf has weight 0: it is left out"):
        module = DistillModule(student, teacher, {"csf": 0, "pea": 1.0})
    assert set(module.losses) == {"pea"}
    assert set(module.loss_terms(BATCH)) == {"ce", "pea"}


def test_weights_are_logged_and_weigh_the_loss(run, lean, tmp_path) -> None:
    options = (
        DISTILLED,
        "distillation.losses.pea.weight=2",
        "+distillation.losses.pea.schedule={name:warm_up,begin:0.25,share:0.5}",
        "+distillation.losses.csf.schedule=[{name:decay,shape:cosine,share:0.5,end:0.5}]",
    )
    run(tmp_path / "base", *options)
    logged = [row for row in rows(tmp_path / "base") if row["train/loss"]]
    assert len(logged) == 8
    warm = [0, 0, 0, 0.5, 1, 1.5, 2, 2]
    fall = [0.75 + 0.25 * math.cos(math.pi * min(step / 4, 1)) for step in range(8)]
    assert [float(row["train/weight/pea"]) for row in logged] == pytest.approx(warm, abs=1e-7)
    assert [float(row["train/weight/csf"]) for row in logged] == pytest.approx(fall)
    for row, pea, csf in zip(logged, warm, fall, strict=True):
        total = float(row["train/ce"]) + pea * float(row["train/pea"]) + csf * float(row["train/csf"])
        assert float(row["train/loss"]) == pytest.approx(total, rel=1e-5)
        assert float(row["train/pea"]) > 0, "a term is computed while its weight is 0"
