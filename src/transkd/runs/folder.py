"""The folder of a run: the names of its files, who may write into it, and whose folder a model lies in."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from transkd.errors import CheckpointError, ConfigError
from transkd.files import write_text

CONFIG, RESULTS, METRICS, CHECKPOINTS = MARKS = ("config.yaml", "results.json", "metrics.csv", "checkpoints")
LAST, BEST = "last.ckpt", "best.ckpt"
LOCK = ".lock"
LEFT_BY_A_START = {LOCK, CONFIG, METRICS, CHECKPOINTS, "tensorboard", "wandb"}
SECTIONS = {"data", "student", "distillation", "trainer"}
"""Sections that the config of any run has."""
SET_ASIDE = re.compile(r"(config|metrics)\.failed-(\d+)\.(yaml|csv)")


class RunFolder:
    """The folder of one training run.

    Attributes:
        path: the folder.
        config: the resolved config of the run.
        metrics: every logged value.
        results: the final scores.
        checkpoints: the folder of the checkpoints.
        last: the checkpoint to resume from.
        best: the checkpoint of the best validation.
        predictions: the folder of the pictures.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.config = self.path / CONFIG
        self.metrics = self.path / METRICS
        self.results = self.path / RESULTS
        self.checkpoints = self.path / CHECKPOINTS
        self.last = self.checkpoints / LAST
        self.best = self.checkpoints / BEST
        self.predictions = self.path / "predictions"

    def holds_run(self) -> bool:
        """Return whether a run, finished or not, lies here."""
        return any((self.path / mark).exists() for mark in MARKS)

    def holds_failed_start(self) -> bool:
        """Return whether all that lies here was left by a run that ended before its first checkpoint."""
        if not ((self.path / LOCK).is_file() and self.config.is_file()):
            return False
        names = {path.name for path in self.path.iterdir()}
        strange = [name for name in names - LEFT_BY_A_START if not SET_ASIDE.fullmatch(name)]
        saved = self.checkpoints.is_dir() and any(self.checkpoints.iterdir())
        try:
            return not strange and not saved and self.saved_config().keys() >= SECTIONS
        except (OSError, ValueError):
            return False

    def checkpoint_to_resume(self, resume: str, *, check: bool = True) -> Path | None:
        """Return the checkpoint that ``resume=auto|PATH|none`` means, None for a new start.

        Args:
            resume: as in the config.
            check: whether to refuse a folder that is in use; the first process does, and the others find it in use.

        Raises:
            ConfigError: the folder holds other things, or a run with a checkpoint and ``resume`` is not auto.
            CheckpointError: the checkpoint that was named does not exist.
        """
        if check and resume != "auto" and self.holds_run() and not self.holds_failed_start():
            raise ConfigError(
                f"the folder {self.path} already holds a run, which is not overwritten: resume it by "
                "resume=auto, or choose another folder by name=… or output=…"
            )
        if check and self.path.exists() and not self.path.is_dir():
            raise ConfigError(f"output={self.path} is a file, not a folder")
        if check and not self.holds_run() and self.path.is_dir() and any(p.name != LOCK for p in self.path.iterdir()):
            raise ConfigError(
                f"the folder {self.path} is not empty and holds no run of transkd: choose another output=…"
            )
        if resume == "none":
            return None
        if resume == "auto":
            return self.last if self.last.exists() else None
        named = Path(resume).expanduser()
        checkpoint = RunFolder(named).last if named.is_dir() else named
        if not checkpoint.is_file():
            raise CheckpointError(
                f"resume={resume}: there is no checkpoint {checkpoint}; resume=auto|none or the path of a .ckpt "
                "file or of a run's folder"
            )
        return checkpoint

    @contextmanager
    def claimed(self, config: Mapping[str, Any]) -> Iterator[None]:
        """Lock the folder for this process and write ``config`` into it, as long as the context lasts.

        Raises:
            ConfigError: the folder cannot be written, or another process trains in it.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.checkpoints):
                lock = (self.path / LOCK).open("a")
        except OSError as error:
            raise ConfigError(
                f"the run's folder {self.path} cannot be written ({error.strerror}): choose another output=…"
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    f"another process is training in {self.path}: wait for it, or choose another output=…"
                ) from error
            if config.get("resume") != "auto" and self.holds_failed_start():
                self._set_aside()
            write_text(self.config, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
            yield

    def _set_aside(self) -> None:
        """Keep what a failed start logged, under other names: ``config.failed-1.yaml``, ``metrics.failed-1.csv``."""
        earlier = (SET_ASIDE.fullmatch(path.name) for path in self.path.iterdir())
        number = 1 + max((int(match[2]) for match in earlier if match), default=0)
        for path in (self.config, self.metrics):
            if path.exists():
                path.rename(path.with_name(f"{path.stem}.failed-{number}{path.suffix}"))

    def saved_config(self) -> dict[str, Any]:
        """Return the config that the run in this folder was started with, empty if there is none.

        Raises:
            OSError, ValueError: the file cannot be read, or is no YAML.
        """
        if not self.config.exists():
            return {}
        try:
            values = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
        return values if isinstance(values, dict) else {}

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write ``results.json``."""
        write_text(self.results, json.dumps(results, indent=2) + "\n")

    def save_model(self, segmenter: Any, name: str) -> Path:
        """Save a segmenter as the folder ``name``, whole or not at all; return its path."""
        final, partial = self.path / name, self.path / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        segmenter.save_pretrained(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        return final


def run_of_model(source: str | Path) -> RunFolder | None:
    """Return the folder of the run that a model was trained in; None where the model does not lie in one.

    Args:
        source: the run's folder, the folder of its segmenter, a checkpoint, or a file in one of these.
    """
    path = Path(source).expanduser()
    for folder in (path, path.parent, path.parent.parent)[: 3 if path.is_file() else 2]:
        if (folder / CONFIG).is_file():
            return RunFolder(folder)
    return None


def config_of_run(source: str) -> tuple[dict[str, Any], Path] | None:
    """Return the config of the run that a model was trained in, and its file, if it lies in the run's folder."""
    run = run_of_model(source)
    try:
        values = {} if run is None else run.saved_config()
    except (OSError, ValueError):
        return None
    if run is None or not isinstance(values.get("data"), dict) or "student" not in values:
        return None
    return values, run.config


def input_size_of_run(source: str) -> tuple[int | list[int], Path] | None:
    """Return what a model's training run resized images to, a short side or [height, width], and the config."""
    found = config_of_run(source)
    if found is None:
        return None
    values, path = found
    size = values["data"].get("size")
    sides = size if isinstance(size, list) else [size]
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    return size, path


def at_home(text: str) -> Path:
    """Return a path with ``~`` written out where there is such a home."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def exists(path: Path) -> bool:
    """Return whether there is such a file or folder, as far as permissions show."""
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder, as far as permissions show."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Return whether there is such a file, as far as permissions show."""
    return os.path.isfile(path)  # noqa: PTH113
