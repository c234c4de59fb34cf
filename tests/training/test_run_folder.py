"""Who may write into a run's folder, told before the first step."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest

from transkd.errors import CheckpointError, ConfigError
from transkd.files import write_text
from transkd.runs.folder import RunFolder

pytestmark = pytest.mark.usefixtures("lean")


@pytest.fixture
def never_trains(monkeypatch):
    """A run that gets to its first step fails with another error than a test expects."""

    def trained(*_):
        raise AssertionError("the run went on to train")

    monkeypatch.setattr("transkd.training.run.build_trainer", trained)


def test_a_path_below_a_file(run, tmp_path, never_trains):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file/run.* cannot be written \(Not a directory\): choose another output="):
        run(tmp_path / "file" / "run")


def test_a_file_in_the_folders_place(run, tmp_path, never_trains):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ConfigError, match=r"output=.*/file is a file, not a folder"):
        run(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_a_file_system_that_takes_no_folders(run, never_trains):
    with pytest.raises(ConfigError, match=r"/proc/run cannot be written .*choose another output="):
        run(Path("/proc/run"))


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_can_be_made_but_not_written_to(run, tmp_path, never_trains, monkeypatch, code):
    """As root every folder can be written to, so the refusal is played."""

    def refuse(self, *_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(ConfigError, match=rf"cannot be written \({os.strerror(code)}\)"):
        run(tmp_path / "run")


def test_foreign_files_are_left_alone(run, tmp_path, never_trains):
    (tmp_path / "thesis.tex").write_text("text")
    for resume in ("none", "auto"):
        with pytest.raises(ConfigError, match=r"is not empty and holds no run of transkd: choose another output="):
            run(tmp_path, f"resume={resume}")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_fine(run, tmp_path):
    run(tmp_path, "trainer.max_epochs=1", "trainer.limit_train_batches=1")
    assert (tmp_path / "results.json").is_file()


def test_two_processes_at_once(run, tmp_path):
    holder = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('held', flush=True); input()"
    (tmp_path / "run").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "run/.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match=r"another process is training in .*/run: wait for it, or choose"):
            run(tmp_path / "run", "trainer.max_epochs=1")
        assert not (tmp_path / "run/config.yaml").exists()
        other.communicate("done\n")
    run(tmp_path / "run", "trainer.max_epochs=1", "trainer.limit_train_batches=1")


def test_the_folder_is_free_again_after_an_error(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(KeyError), folder.claimed({"a": 1}):
        raise KeyError
    with folder.claimed({"a": 2}):
        assert folder.saved_config() == {"a": 2}


@pytest.mark.parametrize("mark", ["config.yaml", "results.json", "metrics.csv", "checkpoints"])
def test_any_trace_of_a_run_keeps_another_out(run, tmp_path, never_trains, mark):
    (tmp_path / mark).mkdir() if mark == "checkpoints" else (tmp_path / mark).write_text("")
    with pytest.raises(ConfigError, match="already holds a run, which is not overwritten"):
        run(tmp_path)


def test_a_path_to_resume_does_not_let_a_held_folder_be_overwritten(run, tmp_path, never_trains):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ConfigError, match="already holds a run"):
        run(tmp_path, "resume=/elsewhere")


def test_resuming_from_a_folder_without_a_checkpoint(run, tmp_path, never_trains):
    (tmp_path / "old").mkdir()
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*old/checkpoints/last\.ckpt"):
        run(tmp_path / "new", f"resume={tmp_path / 'old'}")


def test_small_files_are_whole_or_as_before(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_text(path, json.dumps({"miou": 0.5}))

    def full(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "x" * 100)
    assert json.loads(path.read_text()) == {"miou": 0.5}


def test_a_saved_model_is_replaced_whole(tmp_path):
    class Model:
        def __init__(self, files):
            self.files = files

        def save_pretrained(self, folder):
            folder.mkdir()
            for name in self.files:
                (folder / name).write_text(name)
                if name == "fails":
                    raise OSError(errno.ENOSPC, "No space left on device")

    folder = RunFolder(tmp_path)
    folder.save_model(Model(["a", "b"]), "model")
    with pytest.raises(OSError, match="No space"):
        folder.save_model(Model(["c", "fails"]), "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"a", "b"}
    folder.save_model(Model(["d"]), "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"d"}


class FailsAtItsSecondStep(L.Callback):
    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 2:
            raise RuntimeError("the machine is on fire")


@pytest.fixture
def failed_start(run, with_callback, tmp_path) -> Path:
    """A run that logged two steps and saved nothing."""
    with_callback(FailsAtItsSecondStep())
    with pytest.raises(RuntimeError, match="on fire"):
        run(tmp_path / "run", "checkpoint.every_n_steps=100")
    with_callback(None)
    return tmp_path / "run"


def test_a_run_that_failed_before_its_first_checkpoint_can_start_anew(run, failed_start):
    before = {name: (failed_start / name).read_text() for name in ("config.yaml", "metrics.csv")}
    assert before["metrics.csv"].count("\n") > 1
    run(failed_start, "trainer.max_epochs=1", "trainer.limit_train_batches=1", "seed=1")
    assert (failed_start / "results.json").is_file()
    assert RunFolder(failed_start).saved_config()["seed"] == 1
    assert (failed_start / "config.failed-1.yaml").read_text() == before["config.yaml"]
    assert (failed_start / "metrics.failed-1.csv").read_text() == before["metrics.csv"]
    with pytest.raises(ConfigError, match="already holds a run, which is not overwritten"):
        run(failed_start, "seed=1")


def test_a_second_failed_start_is_kept_beside_the_first(failed_start):
    folder = RunFolder(failed_start)
    for _ in range(2):
        with folder.claimed({**folder.saved_config(), "resume": "none"}):
            assert folder.holds_failed_start()
    assert {path.name for path in failed_start.glob("config.*")} == {
        "config.yaml",
        "config.failed-1.yaml",
        "config.failed-2.yaml",
    }


def test_going_on_with_a_failed_start_sets_nothing_aside(run, failed_start):
    run(failed_start, "checkpoint.every_n_steps=100", "trainer.max_epochs=1", "resume=auto")
    assert not list(failed_start.glob("*.failed-*"))


@pytest.mark.parametrize(
    "mine", ["notes.txt", "student", "results.json", "checkpoints/last.ckpt", "config.failed-x.yaml"]
)
def test_whatever_else_lies_there_keeps_the_folder_held(run, failed_start, never_trains, mine):
    (failed_start / mine).touch()
    with pytest.raises(ConfigError, match="already holds a run, which is not overwritten"):
        run(failed_start)
    assert not list(failed_start.glob("config.failed-1*"))


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "name: of another tool\n"])
def test_a_config_that_is_not_ours_keeps_the_folder_held(run, failed_start, never_trains, text):
    (failed_start / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match="already holds a run"):
        run(failed_start)
    assert (failed_start / "config.yaml").read_text() == text


def test_a_run_that_still_trains_is_no_failed_start(run, failed_start):
    with RunFolder(failed_start).claimed({"resume": "auto"}), pytest.raises(ConfigError, match="another process"):
        RunFolder(failed_start).claimed({"resume": "none"}).__enter__()
    assert not list(failed_start.glob("*.failed-*"))
