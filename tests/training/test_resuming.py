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
from omegaconf import OmegaConf
from runs import At, Runner, assert_same_run, rows, state, weights

from transkd.errors import CheckpointError, ConfigError
from transkd.runs.folder import RunFolder
from transkd.training.callbacks import RunCheckpoints, StopRequestedError
from transkd.training.resuming import adopt_best

pytestmark = pytest.mark.usefixtures("lean")

DISTILLED = ("distillation=transkd_ea", "ema_decay=0.9")
ACCUMULATING = ("data.batch_size=4", "trainer.accumulate_grad_batches=2")  # 3 batches, 2 steps an epoch
MID_EPOCH_VALIDATION = ("+trainer.val_check_interval=2", "ema_decay=0.9")


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


def test_killed_at_any_step(run, with_callback, tmp_path):
    """Four steps an epoch: the very first, one in mid-epoch, an epoch's last and first, and the very last."""
    moments = [f"on_train_batch_start:{n}" for n in (1, 3, 4, 5, 8)]
    train_killed_and_resumed(run, with_callback, tmp_path / "base", DISTILLED, *moments)


def test_killed_within_a_step_a_validation_and_at_an_epochs_ends(run, with_callback, tmp_path):
    moments = (
        "on_before_optimizer_step:6",
        "on_validation_batch_end:1",
        "on_train_epoch_end:1",
        "on_train_epoch_start:2",
        "on_train_end:1",
    )
    train_killed_and_resumed(run, with_callback, tmp_path / "base", DISTILLED, *moments)


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


def test_killed_with_workers(run, with_callback, tmp_path):
    options = (*DISTILLED, "data.workers=2")
    moments = ("on_train_batch_start:3", "on_train_batch_start:5", "on_validation_start:2")
    train_killed_and_resumed(run, with_callback, tmp_path / "base", options, *moments)


def test_workers_change_nothing(run, tmp_path):
    run(tmp_path / "0", *DISTILLED)
    run(tmp_path / "2", *DISTILLED, "data.workers=2")
    assert_same_run(tmp_path / "0", tmp_path / "2")


def test_killed_while_gradients_accumulate(run, with_callback, tmp_path):
    moments = [f"on_train_batch_start:{n}" for n in (2, 3, 4, 6)]
    train_killed_and_resumed(run, with_callback, tmp_path / "base", ACCUMULATING, *moments)


def test_killed_between_rare_checkpoints(run, with_callback, tmp_path):
    options = ("checkpoint.every_n_steps=3",)
    moments = ("on_train_batch_start:3", "on_train_batch_start:4", "on_train_batch_start:7")
    train_killed_and_resumed(run, with_callback, tmp_path / "base", options, *moments)


def test_killed_in_a_run_of_so_many_steps(run, with_callback, tmp_path):
    options = ("trainer.max_steps=7", "trainer.max_epochs=-1")
    moments = ("on_train_batch_start:3", "on_train_batch_start:5", "on_train_batch_start:7")
    train_killed_and_resumed(run, with_callback, tmp_path / "base", options, *moments)


def test_killed_where_only_some_epochs_validate(run, with_callback, tmp_path):
    options = ("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3")
    moments = [f"on_train_batch_start:{n}" for n in (5, 9)]
    train_killed_and_resumed(run, with_callback, tmp_path / "base", options, *moments, "on_validation_start:1")


def test_killed_where_epochs_validate_half_way(run, with_callback, tmp_path):
    moments = [f"on_train_batch_start:{n}" for n in (3, 5)]
    validations = ("on_validation_start:1", "on_validation_batch_end:5", "on_validation_end:3", "on_validation_start:4")
    train_killed_and_resumed(run, with_callback, tmp_path / "base", MID_EPOCH_VALIDATION, *moments, *validations)


def test_killed_under_the_papers_schedule(run, with_callback, tmp_path):
    options = ("schedule=paper", "schedule.epochs=4", "objective=paper", "augment=paper")
    train_killed_and_resumed(
        run,
        with_callback,
        tmp_path / "base",
        options,
        "on_train_batch_start:4",
        "on_train_batch_start:6",
        "on_validation_start:2",
    )


def stop_at(hook: str, n: int, number: signal.Signals) -> At:
    return At(hook, n, lambda *_: os.kill(os.getpid(), number))


STOPS = [
    ("on_train_batch_start", 1, signal.SIGINT, 1),
    ("on_train_batch_end", 3, signal.SIGTERM, 3),
    ("on_train_batch_end", 4, signal.SIGTERM, 4),
    ("on_validation_batch_end", 1, signal.SIGINT, 4),
    ("on_train_batch_end", 8, signal.SIGINT, 8),
]


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "base"
    run(folder, *DISTILLED)
    return folder


@pytest.mark.parametrize(("hook", "n", "number", "step"), STOPS)
def test_a_signal_stops_at_the_next_step_and_the_run_can_go_on(
    run, with_callback, uninterrupted, tmp_path, hook, n, number, step
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
    assert_same_run(uninterrupted, tmp_path / "run")


def test_a_signal_waits_for_the_gradients_to_add_up(run, with_callback, tmp_path):
    run(tmp_path / "base", *ACCUMULATING)
    with_callback(stop_at("on_train_batch_end", 1, signal.SIGTERM))
    with pytest.raises(StopRequestedError, match=r"after step 1$"):
        run(tmp_path / "run", *ACCUMULATING)
    with_callback(None)
    run(tmp_path / "run", *ACCUMULATING, "resume=auto")
    assert_same_run(tmp_path / "base", tmp_path / "run")


def test_stopped_again_and_again(run, with_callback, uninterrupted, tmp_path):
    for _ in range(3):
        with_callback(stop_at("on_train_batch_end", 2, signal.SIGINT))
        with pytest.raises(StopRequestedError):
            run(tmp_path / "run", *DISTILLED, "resume=auto")
    with_callback(None)
    run(tmp_path / "run", *DISTILLED, "resume=auto")
    assert_same_run(uninterrupted, tmp_path / "run")


def test_the_uninterrupted_run_really_trains(uninterrupted):
    """Else every comparison above could hold between runs that do nothing."""
    logged = rows(uninterrupted)
    assert [row["step"] for row in logged if row["train/loss"]] == [str(step) for step in range(8)]
    assert len({row["train/loss"] for row in logged if row["train/loss"]}) == 8
    assert [row["step"] for row in logged if row["val/miou"]] == ["3", "7"]
    assert [row["step"] for row in logged if row["final/miou"]] == ["8"]  # of the saved model


def test_killed_while_the_finished_model_is_scored(run, with_callback, uninterrupted, tmp_path):
    """The final validation is the third here; a resumed run only finishes."""
    with_callback(At("on_validation_start", 3, lambda *_: (_ for _ in ()).throw(SystemExit(9))))
    with pytest.raises(SystemExit):
        run(tmp_path / "run", *DISTILLED)
    assert not (tmp_path / "run" / "results.json").exists()
    with_callback(None)
    results = run(tmp_path / "run", *DISTILLED, "resume=auto")
    assert_same_run(uninterrupted, tmp_path / "run")
    assert results["miou"] is not None
    assert results["training"]["steps"] == 8


def test_auto_on_a_finished_run_changes_nothing_but_scores_it_again(run, uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    results = run(tmp_path / "run", *DISTILLED, "resume=auto")
    assert_same_run(uninterrupted, tmp_path / "run")
    assert results["training"]["steps"] == 8


def test_auto_trains_a_finished_run_for_longer(run, tmp_path):
    """Under a schedule of fixed length more epochs are the same run, gone on with."""
    paper = ("schedule=paper", "schedule.epochs=10")
    run(tmp_path / "base", *paper)
    run(tmp_path / "run", *paper, "trainer.max_epochs=1")
    run(tmp_path / "run", *paper, "resume=auto")
    assert weights(tmp_path / "run") == weights(tmp_path / "base")
    assert rows(tmp_path / "run") == rows(tmp_path / "base")


def test_other_data_under_another_root_is_refused_and_the_same_may_move(run, uninterrupted, scenes_root, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    config = (tmp_path / "run/config.yaml").read_bytes()
    shutil.copytree(scenes_root, tmp_path / "moved")
    shutil.copytree(scenes_root, tmp_path / "other")
    label = next((tmp_path / "other/gtFine/train").rglob("*_labelIds.png"))
    label.write_bytes(label.read_bytes() + b"more")
    with pytest.raises(CheckpointError, match=r"on other data .*: in .*other, the training split has other files"):
        run(tmp_path / "run", *DISTILLED, f"data.root={tmp_path / 'other'}", "resume=auto")
    assert (tmp_path / "run/config.yaml").read_bytes() == config
    run(tmp_path / "run", *DISTILLED, f"data.root={tmp_path / 'moved'}", "resume=auto")
    assert_same_run(uninterrupted, tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("trainer.max_epochs=1",), r"has done 2 epochs, more than trainer\.max_epochs=1: give at least 2, or start"),
        (("trainer.max_steps=5",), r"has done 8 steps, more than trainer\.max_steps=5: give at least 8, or start"),
    ],
)
def test_an_end_that_a_run_is_past_is_refused(run, uninterrupted, tmp_path, options, said):
    shutil.copytree(uninterrupted, tmp_path / "run")
    results = (tmp_path / "run/results.json").read_bytes()
    with pytest.raises(CheckpointError, match=said):
        run(tmp_path / "run", *DISTILLED, *options, "resume=auto")
    assert (tmp_path / "run/results.json").read_bytes() == results


def test_auto_starts_anew_where_there_is_nothing(run, uninterrupted, tmp_path):
    run(tmp_path / "run", *DISTILLED, "resume=auto")
    assert_same_run(uninterrupted, tmp_path / "run")


@pytest.mark.parametrize("what", ["", "checkpoints/last.ckpt"], ids=["folder", "file"])
def test_a_path_goes_on_in_a_new_folder(run, with_callback, uninterrupted, tmp_path, what):
    with_callback(stop_at("on_train_batch_end", 6, signal.SIGTERM))
    with pytest.raises(StopRequestedError):
        run(tmp_path / "old", *DISTILLED)
    with_callback(None)
    run(tmp_path / "new", *DISTILLED, f"resume={tmp_path / 'old' / what}")
    assert weights(tmp_path / "new") == weights(uninterrupted)
    assert state(tmp_path / "old")["global_step"] == 6


def test_the_best_so_far_comes_along_to_a_new_folder(tmp_path):
    old, new = RunFolder(tmp_path / "old"), RunFolder(tmp_path / "new")
    for folder in (old, new):
        folder.checkpoints.mkdir(parents=True)
    old.best.write_bytes(b"the best")
    adopt_best(old.last, new)
    assert new.best.read_bytes() == b"the best"
    kept = RunCheckpoints(new.checkpoints)
    kept.load_state_dict({"best_score": 0.5, "best_epoch": 3})
    assert (kept.best_score, kept.best_epoch) == (0.5, 3)


def test_a_best_score_without_its_checkpoint_is_forgotten(tmp_path):
    callback = RunCheckpoints(tmp_path)
    callback.load_state_dict({"best_score": 0.5, "best_epoch": 3})
    assert callback.best_score is None


def test_a_path_without_a_checkpoint(run, tmp_path):
    with pytest.raises(CheckpointError, match=r"resume=.*nowhere: there is no checkpoint .*nowhere"):
        run(tmp_path / "new", f"resume={tmp_path / 'nowhere'}")
    assert not (tmp_path / "new").exists()


def test_another_recipe_is_refused_with_every_key_that_differs(run, uninterrupted, tmp_path):
    shutil.copytree(uninterrupted, tmp_path / "run")
    with pytest.raises(CheckpointError) as refusal:
        run(tmp_path / "run", *DISTILLED, "resume=auto", "seed=1", "optimizer.lr=0.1", "data.workers=1")
    message = str(refusal.value)
    assert "  seed: it was 0, it is 1\n" in message
    assert "  optimizer.lr: it was 0.0005, it is 0.1\n" in message
    assert "workers" not in message
    assert_same_run(uninterrupted, tmp_path / "run")


def test_a_run_from_before_a_key_existed_goes_on(run, uninterrupted, tmp_path):
    """Its config.yaml says nothing of pretrained weights, and names the head that null means."""
    shutil.copytree(uninterrupted, tmp_path / "run")
    config = OmegaConf.load(tmp_path / "run/config.yaml")
    for role in ("student", "teacher"):
        del config[role]["pretrained"]
        config[role]["head"] = "segformer"
    OmegaConf.save(config, tmp_path / "run/config.yaml")
    run(tmp_path / "run", *DISTILLED, "resume=auto")
    assert_same_run(uninterrupted, tmp_path / "run")
    with pytest.raises(CheckpointError) as refusal:
        run(tmp_path / "run", *DISTILLED, "resume=auto", "student.head=semantic_fpn", "student.pretrained=true")
    assert "  student.head: it was segformer, it is semantic_fpn\n" in str(refusal.value)
    assert "  student.pretrained: it was False, it is True\n" in str(refusal.value)


def test_another_recipe_is_refused_before_any_weights_are_loaded(run, uninterrupted, tmp_path):
    """An architecture or class count that differs is a recipe that differs, not a mismatch of tensors."""
    shutil.copytree(uninterrupted, tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"student\.head_width: it was None, it is 24"):
        run(tmp_path / "run", *DISTILLED, "resume=auto", "student.head_width=24")


def test_a_held_folder_is_never_overwritten(run, uninterrupted):
    before = {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match=r"already holds a run, which is not overwritten: .*resume=auto"):
        run(uninterrupted, *DISTILLED)
    assert {path: path.stat().st_mtime_ns for path in uninterrupted.rglob("*") if path.is_file()} == before


def test_checkpoints_of_no_validation_have_no_best(run, tmp_path):
    run(tmp_path / "run", "trainer.limit_val_batches=0")
    assert not (tmp_path / "run/checkpoints/best.ckpt").exists()
    assert state(tmp_path / "run")["callbacks"][RunCheckpoints.__qualname__] == {"best_score": None, "best_epoch": None}


def test_a_score_that_is_no_number_is_never_the_best(tmp_path, monkeypatch):
    """A NaN would beat nothing afterwards, and be beaten by nothing."""
    saved: list[float] = []
    keeper = RunCheckpoints(tmp_path)
    monkeypatch.setattr(keeper, "_save", lambda trainer, name: saved.append(keeper.best_score))
    for score in (float("nan"), 0.25, float("nan"), 0.125, 0.5):
        trainer = SimpleNamespace(callback_metrics={"val/miou": torch.tensor(score)}, current_epoch=0)
        keeper._keep_best(trainer)
    assert saved == [0.25, 0.5]
