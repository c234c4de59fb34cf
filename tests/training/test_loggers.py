"""What a run logs and prints: metrics.csv always; TensorBoard and W&B where asked for, without a network or a key."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rich
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import WandbLogger
from rich.console import Console
from test_distill_module import quiet_trainer
from tiny_runs import rows

from transkd.runs.results import read_results
from transkd.training.callbacks.timing import EpochBar, LineProgress
from transkd.training.config import WandbConfig
from transkd.training.trainer import MetricsCSV, log_to_wandb, start_wandb

pytestmark = pytest.mark.usefixtures("lean")
SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "pictures=1")


def content(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_a_step_with_empty_cells_where_no_value_is_lost(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.log_metrics({"epoch": 0, "train/loss": 0.1}, 0)
    logger.log_metrics({"epoch": 0, "train/loss": 1 / 3}, 1)
    logger.log_metrics({"epoch": 0, "val/miou": 0.5}, 1)
    logger.log_metrics({"epoch": 0, "val/miou": float("nan")}, 1)
    logger.finalize("success")
    assert content(tmp_path / "metrics.csv") == [
        {"epoch": "0", "step": "0", "train/loss": "0.1", "val/miou": ""},
        {"epoch": "0", "step": "1", "train/loss": repr(1 / 3), "val/miou": "0.5"},
        {"epoch": "0", "step": "1", "train/loss": "", "val/miou": "nan"},
    ]


def test_another_logger_continues_the_file_and_rewinds_it(tmp_path):
    first = MetricsCSV(tmp_path / "metrics.csv")
    for step in range(4):
        first.log_metrics({"x": step}, step)
    first.save()
    second = MetricsCSV(tmp_path / "metrics.csv")
    second.rewind(2)
    second.log_metrics({"x": 20, "new": 1}, 2)
    second.save()
    assert [(row["step"], row["x"], row["new"]) for row in content(tmp_path / "metrics.csv")] == [
        ("0", "0", ""),
        ("1", "1", ""),
        ("2", "20", "1"),
    ]


def test_tensorboard(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path / "run", *SHORT, "logger=tensorboard")
    events = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    logged = {event.step: event.value for event in events.Scalars("train/loss")}
    expected = {int(row["step"]): float(row["train/loss"]) for row in rows(tmp_path / "run") if row["train/loss"]}
    assert logged == pytest.approx(expected)
    assert len(logged) == 2
    assert events.Scalars("val/miou")
    assert len(events.Tags()["images"]) == 1


@pytest.mark.slow
def test_wandb_without_a_key_logs_offline(run, tmp_path, monkeypatch):
    """Any connection to elsewhere is an error."""
    wandb = pytest.importorskip("wandb")
    connect = socket.socket.connect

    def refuse(self, address):
        if self.family == socket.AF_UNIX or str(address[0]).startswith("127."):
            return connect(self, address)
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("HOME", tmp_path), ("NETRC", tmp_path / "netrc"), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, str(value))
    with pytest.warns(UserWarning, match=r"W&B logs offline; upload later by: wandb sync .*run/wandb/offline-run-"):
        run(tmp_path / "run", *SHORT, "logger=wandb")
    assert wandb.run is None
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    files = {path.relative_to(folder / "files").as_posix() for path in (folder / "files").rglob("*") if path.is_file()}
    assert [name for name in files if name.startswith("media/images/val/") and name.endswith(".png")]
    (table,) = [name for name in files if name.startswith("media/table/final/per_class")]
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert dict(json.loads((folder / "files" / table).read_text())["data"]) == results["per_class"]


def test_what_wandb_is_given(distilled, monkeypatch):
    logged: list[Any] = []
    run = SimpleNamespace(summary={}, log=logged.append, finish=lambda: logged.append("end"))
    monkeypatch.setattr(WandbLogger, "experiment", run)
    results = read_results(distilled)
    log_to_wandb([WandbLogger()], results)
    values = results.as_dict()
    for key in ("miou", "pixel_accuracy", "params", "gmacs", "latency_ms", "weights_sha256"):
        assert run.summary[f"final/{key}"] == values[key]
    assert run.summary["final/training/steps"] == 8
    assert dict(logged[0]["final/per_class"].data) == results.per_class
    assert logged[1] == "end"


@pytest.mark.parametrize(("variable", "modes"), [(None, ["online", "offline"]), ("disabled", ["disabled"])])
def test_wandb_that_cannot_be_reached_or_is_turned_off(tmp_path, monkeypatch, variable, modes):
    wandb = pytest.importorskip("wandb")
    tried: list[str] = []

    def init(*, mode, **_):
        tried.append(mode)
        if mode == "online":
            raise wandb.errors.CommError("the server does not answer")

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if variable:
        monkeypatch.setenv("WANDB_MODE", variable)
    config = WandbConfig(project="p", entity=None, group=None, tags=[], mode="auto", timeout=1)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        start_wandb(config, "name", tmp_path, {})
    assert tried == modes
    text = " ".join(str(warning.message) for warning in raised)
    assert ("could not be reached (the server does not answer): logging offline" in text) == (variable is None)


@pytest.mark.parametrize(
    ("length", "epochs"),
    [({"max_epochs": 2}, ["1/2", "2/2"]), ({"max_epochs": -1, "max_steps": 4}, ["1", "2"])],
)
def test_epochs_count_from_one(length, epochs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")  # a dumb terminal shows no bar
    monkeypatch.setattr(rich, "_console", Console())  # which the bar changes for good
    written = io.StringIO()
    bar = EpochBar(refresh_rate=1, console_kwargs={"file": written, "force_terminal": True, "color_system": None})
    options = {"limit_train_batches": 2, "limit_val_batches": 1, "enable_progress_bar": True, **length}
    quiet_trainer(tmp_path, callbacks=[bar], **options).fit(BoringModel())
    assert list(dict.fromkeys(re.findall(r"Epoch ([-\d/]+)", written.getvalue()))) == epochs
    capsys.readouterr()
    quiet_trainer(tmp_path, callbacks=[LineProgress(every_seconds=0)], **options).fit(BoringModel())
    assert list(dict.fromkeys(re.findall(r"^epoch ([-\d/]+)  step", capsys.readouterr().out, re.MULTILINE))) == epochs
