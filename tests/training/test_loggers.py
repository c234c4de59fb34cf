"""metrics.csv always; TensorBoard and W&B where asked for, without a network or a key."""

from __future__ import annotations

import csv
import json
import socket
import warnings
from pathlib import Path

import pytest
import yaml
from offline_wandb import OfflineRun
from runs import rows

from transkd.training.config import WandbConfig
from transkd.training.resuming import rewind_metrics
from transkd.training.trainer import MetricsCSV, start_wandb

pytestmark = pytest.mark.usefixtures("lean")
SHORT = ("trainer.max_epochs=1", "trainer.limit_train_batches=2", "pictures=1")


def content(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_a_step_with_empty_places(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.log_metrics({"epoch": 0, "train/loss": 0.1}, 0)
    logger.log_metrics({"epoch": 0, "train/loss": 1 / 3}, 1)
    logger.log_metrics({"epoch": 0, "val/miou": 0.5}, 1)
    logger.finalize("success")
    assert content(tmp_path / "metrics.csv") == [
        {"epoch": "0", "step": "0", "train/loss": "0.1", "val/miou": ""},
        {"epoch": "0", "step": "1", "train/loss": repr(1 / 3), "val/miou": "0.5"},
    ]


def test_a_value_that_is_logged_twice_at_a_step_is_not_lost(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    for value in (0.25, 0.5):
        logger.log_metrics({"val/miou": value}, 7)
    logger.save()
    assert [row["val/miou"] for row in content(tmp_path / "metrics.csv")] == ["0.25", "0.5"]


def test_odd_values(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.log_metrics({"a": float("nan"), "b": float("inf"), "c": 2.0, "d": 1e300}, 0)
    logger.save()
    assert content(tmp_path / "metrics.csv")[0] == {
        "epoch": "",
        "step": "0",
        "a": "nan",
        "b": "inf",
        "c": "2",
        "d": "1e+300",
    }


def test_another_logger_goes_on_where_the_first_ended_and_rewinds(tmp_path):
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


def test_starting_anew_drops_what_a_run_without_checkpoint_left(tmp_path):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.log_metrics({"x": 1}, 0)
    rewind_metrics([logger], None)
    assert logger.rows == []


def test_a_file_is_never_seen_half_written(tmp_path, monkeypatch):
    logger = MetricsCSV(tmp_path / "metrics.csv")
    logger.log_metrics({"x": 1}, 0)
    logger.save()
    monkeypatch.setattr(csv.DictWriter, "writerows", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    logger.log_metrics({"x": 2}, 1)
    with pytest.raises(OSError, match="No space"):
        logger.save()
    assert [row["x"] for row in content(tmp_path / "metrics.csv")] == ["1"]


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


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No key, no home with one, and any connection to elsewhere an error."""
    pytest.importorskip("wandb")
    connect = socket.socket.connect

    def refuse(self, address):
        if self.family == socket.AF_UNIX or str(address[0]).startswith("127."):
            return connect(self, address)
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [None, "offline"])
def test_wandb_without_a_key_logs_offline(run, tmp_path, no_network, monkeypatch, mode):
    import wandb

    if mode:
        monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.warns(UserWarning, match=r"W&B logs offline; upload later by: wandb sync .*run/wandb/offline-run-"):
        results = run(tmp_path / "run", *SHORT, "logger=wandb")
    assert wandb.run is None
    (folder,) = (tmp_path / "run/wandb").glob("offline-run-*")
    logged = OfflineRun(folder)
    assert (logged.name, logged.project, logged.exit_code) == (results_name(tmp_path / "run"), "transkd", 0)
    assert logged.config["student"]["backbone"] == "tiny"
    steps = [row for row in logged.history if "train/loss" in row]
    assert [row["train/loss"] for row in steps] == pytest.approx(
        [float(row["train/loss"]) for row in rows(tmp_path / "run") if row["train/loss"]]
    )
    assert logged.summary["final/miou"] == results["miou"]
    assert logged.summary["final/params"] == results["params"]
    (table,) = [name for name in logged.files if name.startswith("media/table/final/per_class")]
    classes = json.loads((folder / "files" / table).read_text())
    assert classes["columns"] == ["class", "IoU"]
    assert dict(classes["data"]) == results["per_class"]
    assert [name for name in logged.files if name.startswith("media/images/val/") and name.endswith(".png")]


def results_name(run_folder: Path) -> str:
    return str(yaml.safe_load((run_folder / "config.yaml").read_text())["name"])


def test_wandb_that_cannot_be_reached_falls_back_to_offline(tmp_path, monkeypatch):
    import wandb

    asked: list[str] = []

    def init(*, mode, **_):
        asked.append(mode)
        if mode == "online":
            raise wandb.errors.CommError("the server does not answer")

    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    config = WandbConfig(project="p", entity=None, group=None, tags=[], mode="auto", timeout=1)
    with pytest.warns(UserWarning, match=r"could not be reached \(the server does not answer\): logging offline"):
        start_wandb(config, {"save_dir": str(tmp_path)})
    assert asked == ["online", "offline"]


def test_wandb_can_be_turned_off(tmp_path, monkeypatch):
    import wandb

    asked: list[str] = []
    monkeypatch.setattr(wandb, "init", lambda *, mode, **_: asked.append(mode))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    config = WandbConfig(project="p", entity=None, group=None, tags=[], mode="auto", timeout=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start_wandb(config, {"save_dir": str(tmp_path)})
    assert asked == ["disabled"]
