"""Who may write into a run's folder, which checkpoint a run resumes from, and whose folder a model lies in."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
import yaml

from transkd.errors import CheckpointError, ConfigError
from transkd.runs.folder import RunFolder, config_of_run, input_size_of_run, run_of_model

CONFIG = {"data": {"size": 64}, "student": {}, "distillation": {}, "trainer": {}, "resume": "none", "seed": 0}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def failed_start(folder: RunFolder) -> RunFolder:
    """What a run leaves that logged two steps and saved nothing."""
    with folder.claimed(CONFIG):
        folder.metrics.write_text("epoch,step\n0,0\n0,1\n")
    return folder


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("kept")
    refused = r"cannot be written \(Not a directory\): choose another output="
    with pytest.raises(ConfigError, match=refused), RunFolder(tmp_path / "file" / "run").claimed(CONFIG):
        pass
    with pytest.raises(ConfigError, match=r"output=.*/file is a file, not a folder"):
        RunFolder(tmp_path / "file").checkpoint_to_resume("none")

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write everywhere
    with pytest.raises(ConfigError, match=r"cannot be written \(Read-only"), RunFolder(tmp_path / "r").claimed(CONFIG):
        pass


@pytest.mark.parametrize("resume", ["none", "auto"])
def test_foreign_files_are_left_alone(tmp_path: Path, resume: str) -> None:
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(ConfigError, match=r"is not empty and holds no run of transkd: choose another output="):
        RunFolder(tmp_path).checkpoint_to_resume(resume)


@pytest.mark.parametrize("mark", ["config.yaml", "results.json", "metrics.csv", "checkpoints"])
def test_any_trace_of_a_run_keeps_another_out(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).mkdir() if mark == "checkpoints" else (tmp_path / mark).write_text("")
    for resume in ("none", "elsewhere"):
        with pytest.raises(ConfigError, match=r"already holds a run, which is not overwritten: .*resume=auto"):
            RunFolder(tmp_path).checkpoint_to_resume(resume)


def test_which_checkpoint_is_resumed(tmp_path: Path, folder: RunFolder) -> None:
    old = RunFolder(tmp_path / "old")
    old.checkpoints.mkdir(parents=True)
    assert old.checkpoint_to_resume("auto") is None
    for name in (str(old.path), str(old.last), "nowhere"):
        with pytest.raises(CheckpointError, match=rf"resume={name}: there is no checkpoint"):
            folder.checkpoint_to_resume(name)
    old.last.touch()
    assert old.checkpoint_to_resume("auto") == old.last
    assert folder.checkpoint_to_resume(str(old.path)) == folder.checkpoint_to_resume(str(old.last)) == old.last
    assert folder.checkpoint_to_resume("none") is folder.checkpoint_to_resume("auto") is None


def test_one_process_at_a_time(folder: RunFolder) -> None:
    with (
        folder.claimed({"a": 1}),
        pytest.raises(ConfigError, match=r"another process is training in .*/run: wait"),
        RunFolder(folder.path).claimed(CONFIG),
    ):
        pass
    assert folder.saved_config() == {"a": 1}
    with pytest.raises(KeyError), folder.claimed({"a": 2}):
        raise KeyError
    with folder.claimed({"a": 3}):  # free again after an error
        assert folder.saved_config() == {"a": 3}


def test_a_saved_model_is_replaced_whole(folder: RunFolder) -> None:
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

        def save_pretrained(self, path: Path) -> None:
            path.mkdir(parents=True)
            (path / self.name).touch()
            if self.name == "fails":
                raise OSError(errno.ENOSPC, "No space left on device")

    folder.save_model(Model("a"), "model")
    with pytest.raises(OSError, match="No space"):
        folder.save_model(Model("fails"), "model")
    assert [path.name for path in (folder.path / "model").iterdir()] == ["a"]
    assert [path.name for path in folder.save_model(Model("b"), "model").iterdir()] == ["b"]


def test_a_failed_start_is_set_aside_for_a_new_one(failed_start: RunFolder) -> None:
    logged = failed_start.metrics.read_text()
    for number in (1, 2):
        assert failed_start.checkpoint_to_resume("none") is None
        with failed_start.claimed({**CONFIG, "seed": number}):
            assert failed_start.saved_config()["seed"] == number
    assert (failed_start.path / "metrics.failed-1.csv").read_text() == logged
    aside = [yaml.safe_load((failed_start.path / f"config.failed-{n}.yaml").read_text())["seed"] for n in (1, 2)]
    assert aside == [0, 1]
    with failed_start.claimed({**CONFIG, "resume": "auto"}):
        pass
    assert len(list(failed_start.path.glob("config.*"))) == 3


@pytest.mark.parametrize("other", ["notes.txt", "results.json", "checkpoints/last.ckpt", "config.failed-x.yaml"])
def test_whatever_else_is_there_keeps_the_folder_held(failed_start: RunFolder, other: str) -> None:
    (failed_start.path / other).touch()
    with pytest.raises(ConfigError, match="already holds a run, which is not overwritten"):
        failed_start.checkpoint_to_resume("none")


@pytest.mark.parametrize("text", ["- a\n", "a: [", "name: of another tool\n"])
def test_a_config_of_another_tool_keeps_the_folder_held(failed_start: RunFolder, text: str) -> None:
    failed_start.config.write_text(text)
    with pytest.raises(ConfigError, match="already holds a run"):
        failed_start.checkpoint_to_resume("none")


def test_the_run_that_a_model_lies_in(folder: RunFolder) -> None:
    with folder.claimed(CONFIG):
        (folder.path / "student").mkdir()
        folder.last.touch()
    for source in (folder.path, folder.path / "student", folder.last):
        found = run_of_model(source)
        assert found is not None
        assert found.path == folder.path
        assert config_of_run(str(source)) == (CONFIG, folder.config)
        assert input_size_of_run(str(source)) == (64, folder.config)
    assert run_of_model(folder.path / "student/deep/er") is None
    folder.config.write_text("a: [")
    assert config_of_run(str(folder.path)) is None
