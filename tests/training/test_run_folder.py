"""Who may write into a run's folder, told before the first step."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transkd.errors import CheckpointError, ConfigError
from transkd.training.run_folder import RunFolder, write_text

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
