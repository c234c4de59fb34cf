"""Runs in processes of their own: killed, stopped, and several at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_run import independent_scores
from tiny_runs import Runner, assert_same_run, state

import transkd

SCRIPT = Path(__file__).with_name("tiny_train.py")
PROCESS_SECONDS = 240


@pytest.fixture(scope="module")
def start(run: Runner, subprocess_env, tmp_path_factory):
    """Start a command; returns a handle once it has ended."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def started(output: Path, *more: str, signal_at: str | None = None) -> subprocess.CompletedProcess[str]:
        env = subprocess_env | ({"SIGNAL_AT": signal_at} if signal_at else {})
        return subprocess.run(
            [sys.executable, str(SCRIPT), *run.overrides(output, *more)],
            env=env,
            cwd=elsewhere,
            capture_output=True,
            text=True,
            timeout=PROCESS_SECONDS,
            start_new_session=True,
            check=False,
        )

    return started


@pytest.fixture(scope="module")
def alone(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    run(folder, "ema_decay=0.9")
    return folder


def at(moment: str, number: signal.Signals, target: str = "self") -> str:
    return f"{moment}:{number.value}:{target}"


@pytest.mark.slow
def test_kill_9(start, run, lean, alone, tmp_path):
    options = ("ema_decay=0.9", "data.workers=2")
    killed = start(tmp_path / "run", *options, signal_at=at("on_train_batch_start:7", signal.SIGKILL))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert state(tmp_path / "run")["global_step"] == 6
    run(tmp_path / "run", *options, "resume=auto")
    assert_same_run(alone, tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.slow
def test_ctrl_c(start, run, lean, alone, tmp_path):
    """It reaches the loader's workers too: the run stops in order all the same."""
    options = ("ema_decay=0.9", "data.workers=2", "checkpoint.every_n_steps=100")
    stopped = start(tmp_path / "run", *options, signal_at=at("on_train_batch_end:6", signal.SIGINT, "group"))
    assert stopped.returncode == 130, stopped.stderr
    message = "stopped by SIGINT after step 6: the run is saved; the same command with resume=auto resumes it"
    assert stopped.stderr.strip().splitlines()[-1] == message
    assert "Traceback" not in stopped.stderr
    run(tmp_path / "run", *options, "resume=auto")
    assert_same_run(alone, tmp_path / "run")


TWO = ("trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=2", "data.val_batch_size=2")


@pytest.mark.slow
def test_two_processes_stop_and_go_on_and_score_as_one(start, scenes_root, tmp_path):
    """Five scenes in batches of two are uneven shares, of which none may count twice."""
    options = (*TWO, "distillation=transkd_ea", "ema_decay=0.9", "pictures=1")
    stopped = start(tmp_path, *options, signal_at=at("on_train_batch_end:2", signal.SIGTERM))
    assert stopped.returncode == 143, stopped.stderr
    assert state(tmp_path)["global_step"] == 2
    done = start(tmp_path, *options, "resume=auto")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\nscores of ") == 1
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["training"]["steps"] == 6  # 12 scenes, 4 a step, 2 epochs
    assert results["protocol"]["images"] is None
    miou, accuracy, per_class = independent_scores(transkd.load_segmenter(tmp_path), scenes_root, "label")
    assert results["miou"] == pytest.approx(miou, abs=1e-6)
    assert results["pixel_accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert {k: v for k, v in results["per_class"].items() if v is not None} == pytest.approx(per_class, abs=1e-6)
