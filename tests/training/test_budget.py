"""Runs that end by epochs, steps or time, and what they say they took."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import lightning as L
import pytest
import torch
from rich.console import Console
from test_distill_module import quiet_trainer
from tiny_runs import rows, state, weights

from transkd import DistillModule, SceneDataModule, create_segmenter
from transkd.distillation import DistillationLoss
from transkd.training.callbacks.losses import LossTime
from transkd.training.callbacks.timing import RunClock

pytestmark = pytest.mark.usefixtures("lean")

PAPER = ("schedule=paper", "schedule.epochs=10")
TIMED = "trainer.max_time='00:00:01:00'"


class SlowSteps(L.Callback):
    """Lets each optimiser step take ten seconds of the run's clock, whatever it takes here."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        monkeypatch.setattr(RunClock, "time_elapsed", lambda clock, stage="train": 10.0 * self.steps or clock._offset)

    def on_fit_start(self, trainer, module):
        self.steps = 0

    def on_train_batch_end(self, trainer, *_):
        self.steps = trainer.global_step


@pytest.fixture
def slow_steps(with_callback, monkeypatch) -> None:
    with_callback(SlowSteps(monkeypatch))


def validated_at(folder: Path) -> list[str]:
    return [row["step"] for row in rows(folder) if row.get("val/miou")]


@pytest.mark.slow
def test_steps_cut_an_epoch_after_validating_it_and_more_steps_resume_it(run, tmp_path) -> None:
    run(tmp_path / "base", *PAPER, "trainer.max_steps=8")
    cut = run(tmp_path / "run", *PAPER, "trainer.max_steps=6")["training"]
    assert (cut["stopped_by"], cut["steps"], cut["epochs"], cut["images"]) == ("steps", 6, 1, 18)
    assert validated_at(tmp_path / "run") == ["3", "5"]
    assert state(tmp_path / "run")["global_step"] == 6
    again = run(tmp_path / "run", *PAPER, "trainer.max_steps=8", "resume=auto")["training"]
    assert (again["stopped_by"], again["steps"], again["epochs"], again["images"]) == ("steps", 8, 2, 24)
    assert weights(tmp_path / "run") == weights(tmp_path / "base")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "validated"),
    [
        (("trainer.check_val_every_n_epoch=3",), ["5"]),
        (("trainer.limit_val_batches=0",), []),
    ],
    ids=["in an epoch that does not validate", "without validation"],
)
def test_time_ends_a_run_between_steps_and_more_time_resumes_it(run, slow_steps, tmp_path, options, validated):
    console = Console(record=True, width=300, file=io.StringIO())
    options = (*options, "checkpoint.every_n_steps=100")
    cut = run(tmp_path / "run", *options, TIMED, console=console)
    assert cut["training"]["stopped_by"] == "time"
    assert (cut["training"]["steps"], cut["training"]["seconds"]) == (6, 60.0)
    assert "stopped by trainer.max_time after step 6 of 8" in console.export_text()
    assert validated_at(tmp_path / "run") == validated
    assert (cut["miou"] is None) == ("trainer.limit_val_batches=0" in options)
    assert state(tmp_path / "run")["global_step"] == 6
    assert json.loads((tmp_path / "run/results.json").read_text()) == cut

    again = run(tmp_path / "run", *options, TIMED, "resume=auto")["training"]
    assert (again["stopped_by"], again["steps"]) == ("time", 6)
    on = run(tmp_path / "run", *options, "resume=auto")["training"]
    assert (on["stopped_by"], on["steps"], on["images"]) == ("epochs", 8, 24)
    run(tmp_path / "base", *options)
    assert weights(tmp_path / "run") == weights(tmp_path / "base")


class Sleeps(DistillationLoss):
    """Takes its time, forward and backward."""

    def forward(self, student, teacher):
        time.sleep(0.05)

        class Slow(torch.autograd.Function):
            @staticmethod
            def forward(ctx, value):
                return value.clone()

            @staticmethod
            def backward(ctx, gradient):
                time.sleep(0.03)
                return gradient

        return Slow.apply(student.features[0].float().square().mean())


def test_the_losses_share_of_a_step_is_their_time_forward_and_backward(scenes_root: Path, tmp_path: Path) -> None:
    student, teacher = create_segmenter("tiny", 19), create_segmenter("tiny_teacher", 19)
    module = DistillModule(student, teacher, {"sleeps": Sleeps(student.channels, teacher.channels)})
    data = SceneDataModule("cityscapes", scenes_root, size=[64, 64], batch_size=2, workers=0)
    trainer = quiet_trainer(tmp_path, max_epochs=2, limit_val_batches=0)
    trainer.fit(module, data)
    measured = next(c for c in trainer.callbacks if isinstance(c, LossTime))
    seconds = measured.seconds
    assert measured.shares["measured_steps"] == 7  # of twelve, the first five left out
    assert 7 * 0.08 <= seconds["losses"] < seconds["step"] - seconds["teacher"]
    assert seconds["losses"] < 7 * 0.08 + 0.5 * (seconds["step"] - seconds["losses"])
    assert measured.shares["losses_share"] == pytest.approx(seconds["losses"] / seconds["step"])
    assert 0 < measured.shares["teacher_share"] < 1 - measured.shares["losses_share"]
    assert module.stopwatch is None
