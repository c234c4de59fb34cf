"""A run that was stopped or killed anywhere, and then resumed, is bitwise the run that was left alone."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
import yaml
from tiny_runs import DISTILLED, At, Runner, assert_same_run, rows, state, weights

from transkd.errors import CheckpointError, ConfigError
from transkd.training.callbacks.checkpoints import RunCheckpoints, StopRequestedError

pytestmark = pytest.mark.usefixtures("lean")

ACCUMULATING = ("data.batch_size=4", "trainer.accumulate_grad_batches=2")  # 3 batches, 2 steps an epoch


class Killed(L.Callback):
    """Copies the run's folder at chosen moments: what lies there is what kill -9 at that moment leaves.

    A moment is a hook and its how-manieth call.
    """

    def __init__(self, folder: Path, *moments: str) -> None:
        self.folder = folder
        self.moments = moments
        self.calls: dict[str, int] = {}
        self.last = ""
        for hook in {moment.split(":")[0] for moment in moments}:
            setattr(self, hook, lambda trainer, *_, hook=hook, **__: self._called(hook))

    def copy_of(self, moment: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}-{moment.replace(':', '-')}")

    def _called(self, hook: str) -> None:
        self.calls[hook] = self.calls.get(hook, 0) + 1
        moment = f"{hook}:{self.calls[hook]}"
        if moment in self.moments:
            shutil.copytree(self.folder, self.copy_of(moment))


def train_killed_and_resumed(run: Runner, with_callback, base: Path, options: tuple[str, ...], *moments: str) -> None:
    killed = Killed(base, *moments)
    with_callback(killed)
    run(base, *options)
    with_callback(None)
    for moment in moments:
        copy = killed.copy_of(moment)
        assert copy.is_dir(), f"{moment} never came"
        run(copy, *options, "resume=auto")
        assert_same_run(base, copy)


KILLED = {
    "within an epoch, a step, a validation and at an epoch's ends": (
        DISTILLED,
        [
            "on_train_batch_start:3",
            "on_before_optimizer_step:6",
            "on_validation_batch_end:1",
            "on_train_epoch_end:1",
            "on_train_end:1",
        ],
    ),
    "with workers": ((*DISTILLED, "data.workers=2"), ["on_train_batch_start:3", "on_validation_start:2"]),
    "while gradients accumulate": (ACCUMULATING, ["on_train_batch_start:2", "on_train_batch_start:4"]),
    "in a run of so many steps": (("trainer.max_steps=7", "trainer.max_epochs=-1"), ["on_train_batch_start:5"]),
    "where only some epochs validate": (
        ("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3"),
        ["on_train_batch_start:9", "on_validation_start:1"],
    ),
    "where epochs validate half way": (
        ("+trainer.val_check_interval=2", "ema_decay=0.9"),
        ["on_train_batch_start:3", "on_validation_batch_end:5", "on_validation_end:3", "on_validation_start:4"],
    ),
    "under the paper's schedule": (
        ("schedule=paper", "schedule.epochs=4", "objective=paper", "augment=paper"),
        ["on_train_batch_start:6", "on_validation_start:2"],
    ),
}


def test_killed_within_an_epoch_and_after_it(run, with_callback, tmp_path):
    moments = ("on_train_batch_start:4", "on_train_batch_start:5")
    train_killed_and_resumed(run, with_callback, tmp_path / "base", DISTILLED, *moments)


@pytest.mark.slow
@pytest.mark.parametrize("case", KILLED)
def test_killed(run, with_callback, tmp_path, case):
    options, moments = KILLED[case]
    train_killed_and_resumed(run, with_callback, tmp_path / "base", options, *moments)


@pytest.mark.slow
def test_killed_while_a_checkpoint_is_written(run, monkeypatch, tmp_path):
    """Every save flushes its file, then its folder: the new file is complete but not yet in the old one's place."""
    base, copy = tmp_path / "base", tmp_path / "copy"
    flushed: list[int] = []

    def flush(descriptor: int) -> None:
        flushed.append(descriptor)
        if len(flushed) == 5:
            shutil.copytree(base, copy)

    monkeypatch.setattr(os, "fsync", flush)
    run(base, *DISTILLED)
    assert (copy / "checkpoints/.last.ckpt.partial").stat().st_size > 0
    assert state(copy)["global_step"] == 2
    run(copy, *DISTILLED, "resume=auto")
    assert_same_run(base, copy)
    assert not list(copy.rglob("*.partial"))


def stop_at(hook: str, n: int, number: signal.Signals) -> At:
    return At(hook, n, lambda *_: os.kill(os.getpid(), number))


STOPS = [
    ("on_validation_batch_end", 1, signal.SIGINT, 4),
    pytest.param("on_train_batch_end", 3, signal.SIGTERM, 3, marks=pytest.mark.slow),
    pytest.param("on_train_batch_end", 8, signal.SIGINT, 8, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("hook", "n", "number", "step"), STOPS)
def test_a_signal_stops_at_the_next_step_and_the_run_can_be_resumed(
    run, with_callback, distilled, tmp_path, hook, n, number, step
):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with_callback(stop_at(hook, n, number))
    rare = ("checkpoint.every_n_steps=100",)
    with pytest.raises(StopRequestedError, match=f"^stopped by {number.name} after step {step}$") as stop:
        run(tmp_path / "run", *DISTILLED, *rare)
    assert stop.value.signal == number
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert state(tmp_path / "run")["global_step"] == step
    assert not (tmp_path / "run" / "results.json").exists()
    with_callback(None)
    run(tmp_path / "run", *DISTILLED, *rare, "resume=auto")
    assert_same_run(distilled, tmp_path / "run")


def test_other_data_under_another_root_is_refused(run, distilled, scenes_root, tmp_path):
    shutil.copytree(distilled, tmp_path / "run")
    config = (tmp_path / "run/config.yaml").read_bytes()
    shutil.copytree(scenes_root, tmp_path / "other")
    label = next((tmp_path / "other/gtFine/train").rglob("*_labelIds.png"))
    label.write_bytes(label.read_bytes() + b"more")
    with pytest.raises(CheckpointError, match=r"on other data .*: in .*other, the training split has other files"):
        run(tmp_path / "run", *DISTILLED, f"data.root={tmp_path / 'other'}", "resume=auto")
    assert (tmp_path / "run/config.yaml").read_bytes() == config


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("trainer.max_epochs=1",), r"has done 2 epochs, more than trainer\.max_epochs=1: give at least 2, or start"),
        (("trainer.max_steps=5",), r"has done 8 steps, more than trainer\.max_steps=5: give at least 8, or start"),
    ],
)
def test_an_end_that_a_run_is_past_is_refused(run, distilled, tmp_path, options, said):
    shutil.copytree(distilled, tmp_path / "run")
    results = (tmp_path / "run/results.json").read_bytes()
    with pytest.raises(CheckpointError, match=said):
        run(tmp_path / "run", *DISTILLED, *options, "resume=auto")
    assert (tmp_path / "run/results.json").read_bytes() == results


@pytest.mark.slow
def test_a_path_resumes_in_a_new_folder_with_the_best_so_far(run, with_callback, distilled, tmp_path, monkeypatch):
    """The checkpoint is read once, and once more at the end to save its weights."""
    with_callback(stop_at("on_train_batch_end", 6, signal.SIGTERM))
    with pytest.raises(StopRequestedError):
        run(tmp_path / "old", *DISTILLED)
    with_callback(None)
    best, reads = state(tmp_path / "old", "best.ckpt"), []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda path, **options: (reads.append(str(path)), load(path, **options))[1])
    run(tmp_path / "new", *DISTILLED, f"resume={tmp_path / 'old'}", "trainer.max_steps=6")
    assert [path for path in reads if "/old/" in path] == [str(tmp_path / "old/checkpoints/last.ckpt")]
    assert state(tmp_path / "new", "best.ckpt")["epoch"] == best["epoch"] == 0
    run(tmp_path / "on", *DISTILLED, f"resume={tmp_path / 'old/checkpoints/last.ckpt'}")
    assert weights(tmp_path / "on") == weights(distilled)
    assert state(tmp_path / "old")["global_step"] == 6


@pytest.mark.slow
def test_a_start_that_failed_before_its_first_checkpoint(run, with_callback, tmp_path):
    """Its folder takes a new run, with another recipe too."""
    rare = ("checkpoint.every_n_steps=100", "trainer.max_epochs=1")
    with_callback(At("on_train_batch_end", 2, lambda *_: (_ for _ in ()).throw(RuntimeError("on fire"))))
    with pytest.raises(RuntimeError, match="on fire"):
        run(tmp_path / "run", *rare)
    with_callback(None)
    run(tmp_path / "run", *rare, "seed=1", "trainer.limit_train_batches=1")
    assert [row["step"] for row in rows(tmp_path / "run") if row["train/loss"]] == ["0"]
    assert (tmp_path / "run/metrics.failed-1.csv").is_file()
    assert yaml.safe_load((tmp_path / "run/config.failed-1.yaml").read_text())["seed"] == 0


def test_another_recipe_is_refused_with_every_key_that_differs(run, distilled, tmp_path):
    shutil.copytree(distilled, tmp_path / "run")
    with pytest.raises(CheckpointError) as refusal:
        run(tmp_path / "run", *DISTILLED, "resume=auto", "seed=1", "optimizer.lr=0.1", "data.workers=1")
    message = str(refusal.value)
    assert "  seed: it was 0, it is 1\n" in message
    assert "  optimizer.lr: it was 0.0005, it is 0.1\n" in message
    assert "workers" not in message


def test_a_held_folder_is_never_overwritten(run, distilled):
    before = {path: path.stat().st_mtime_ns for path in distilled.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"already holds a run, which is not overwritten: .*resume=auto"):
        run(distilled, *DISTILLED)
    assert {path: path.stat().st_mtime_ns for path in distilled.rglob("*") if path.is_file()} == before


def test_a_score_that_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    """A NaN would beat nothing afterwards, and be beaten by nothing; without its checkpoint the best is forgotten."""
    saved: list[float] = []
    keeper = RunCheckpoints(tmp_path)
    monkeypatch.setattr(keeper, "_save", lambda trainer, name: saved.append(keeper.best_score))
    keeper.load_state_dict({"best_score": 0.9, "best_epoch": 3})
    for score in (float("nan"), 0.25, float("nan"), 0.125, 0.5):
        trainer = SimpleNamespace(callback_metrics={"val/miou": torch.tensor(score)}, current_epoch=0)
        keeper._keep_best(trainer)
    assert saved == [0.25, 0.5]
