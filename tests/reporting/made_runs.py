"""Run folders as training leaves them, with scores of our choice, written by the project's own writers."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transkd.errors import ConfigError
from transkd.evaluation import Protocol, scene_picture
from transkd.reporting import Report, ReportOptions, build_report
from transkd.runs.folder import RunFolder
from transkd.training.trainer import MetricsCSV

CLASSES = ("road", "sign symbol", "car")
PALETTE = ((128, 64, 128), (220, 220, 0), (0, 0, 142))
SIZE = (32, 64)
STEPS = 40
TAUGHT = ("teacher.weights=runs/teacher-s0/model",)
BARE: dict[str, Any] = {"latency_ms": None, "per_class": {}}
"""Results that only one plot is made of, for tests of no plot; with ``curve=()``."""
COMPOSED: dict[tuple[str, ...], dict[str, Any]] = {}
"""Configs by their overrides: composing one takes longer than all the rest."""

Compose = Callable[..., dict[str, Any]]


class Maker:
    """Writes runs below a folder: ``maker("kd", seed=1, miou=0.5)``.

    Args:
        root: the folder.
        compose: composes the config of a training.
    """

    def __init__(self, root: Path, compose: Compose) -> None:
        self.root = root
        self.compose = compose

    def __call__(
        self,
        method: str,
        seed: int = 0,
        miou: float | None = 0.5,
        *,
        at: str | None = None,
        overrides: Sequence[str] = (),
        results: dict[str, Any] | None = None,
        curve: Sequence[tuple[int, float]] = ((19, 0.2), (39, 0.4)),
        pictures: Sequence[str] = (),
    ) -> Path:
        """Write a finished run; return its folder."""
        config = self._config(f"distillation={method}", *overrides)
        config["seed"] = seed
        name = Path(at).name if at else f"made-{method}-s{seed}"
        folder = RunFolder(self.root / (at or name))
        config |= {"name": name, "output": f"runs/{name}"}
        made = made_results(config, miou) | (results or {})
        with folder.claimed(config):
            folder.write_results(made)
        write_curve(folder.metrics, curve, made["training"].get("steps", STEPS), miou)
        for picture in pictures:
            write_picture(folder, picture, taught=method != "none")
        return folder.path

    def teacher(self, seed: int = 0, miou: float = 0.7, *, results: dict[str, Any] | None = None, **more: Any) -> Path:
        """Write a teacher's run: a larger network, trained for longer."""
        overrides = ["student=mit_b2", "trainer.max_epochs=80"]
        costs = {"params": 27_355_083, "gmacs": 2.5, "latency_ms": 40.0, "backbone": "mit_b2"}
        results = costs | {"training": {"steps": 80, "epochs": 80, "seconds": 600.0}} | (results or {})
        return self("none", seed, miou, at=f"teacher-s{seed}", overrides=overrides, results=results, **more)

    def _config(self, *overrides: str) -> dict[str, Any]:
        if overrides not in COMPOSED:
            common = ("data.size=[32,64]", "trainer.max_epochs=40", "data.root=scenes")
            given = {text.split("=")[0] for text in overrides}
            left = [text for text in common if text.split("=")[0] not in given]
            COMPOSED[overrides] = self.compose(*left, *overrides)
        return copy.deepcopy(COMPOSED[overrides])


def made_results(config: dict[str, Any], miou: float | None) -> dict[str, Any]:
    """Return what ``results.json`` holds of a run with this score."""
    data, taught = config["data"], config["distillation"]["name"] != "none"
    protocol = Protocol(data["name"], data["val_split"], data["size"], config["objective"]["score_resolution"])
    made: dict[str, Any] = {
        "miou": miou,
        "pixel_accuracy": None if miou is None else (1 + miou) / 2,
        "per_class": {} if miou is None else {"road": miou + 0.1, "sign symbol": None, "car": miou - 0.1},
        "protocol": protocol.as_dict(),
        "params": 3_716_971,
        "gmacs": 0.31,
        "latency_ms": 8.0 + config["seed"],
        "image_size": list(SIZE),
        "backbone": config["student"]["backbone"],
        "distillation": config["distillation"]["name"],
        "teacher": config["teacher"]["weights"] if taught else None,
        "command": f"transkd-train distillation={config['distillation']['name']} seed={config['seed']}",
        "seed": config["seed"],
        "data": {"count": 5, "sha256": "ab" * 32},
        "device": "cpu (x86_64)",
        "versions": {"transkd": "0.1.0", "torch": "2.15.0"},
        "checkpoint": {"chosen": "best", "epoch": 3},
        "training": {
            "steps": STEPS,
            "epochs": 40,
            "stopped_by": "epochs",
            "images": 320,
            "seconds": 120.0 + 60 * taught,
            "images_per_second": 4.0 - 2 * taught,
            "peak_memory_mb": 900.0,
            "precision": "32-true",
        },
    }
    if taught:
        made["distillation_cost"] = {"adapter_parameters": 650_000, "losses_share": 0.25, "teacher_share": 0.3}
    return made


def write_curve(path: Path, curve: Sequence[tuple[int, float]], steps: int, final: float | None) -> None:
    """Write ``metrics.csv`` with validations, and after them the final scoring as older runs did."""
    logger = MetricsCSV(path)
    for step, miou in curve:
        logger.log_metrics({"epoch": step, "train/loss": 1.0}, step=step)
        logger.log_metrics({"epoch": step, "val/miou": miou}, step=step)
    if final is not None:
        logger.log_metrics({"val/miou": final}, step=steps)
    logger.save()


def write_picture(folder: RunFolder, name: str, *, taught: bool) -> None:
    """Write a picture of a scene whose left half is road and whose right half is car."""
    label = np.zeros(SIZE, np.uint8)
    label[:, SIZE[1] // 2 :] = 2
    image = np.full((*SIZE, 3), 200, np.uint8)
    maps = {"label": label} | ({"teacher": label, "student": label} if taught else {"prediction": label})
    folder.predictions.mkdir(exist_ok=True)
    scene_picture(image, maps, CLASSES, PALETTE, panel_width=96).save(folder.predictions / f"{name}.png")


def change(run: Path, **values: object) -> None:
    """Change values in ``results.json``."""
    path = run / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def report(**options: Any) -> Report:
    """Return the report on the folder ``runs``."""
    return build_report(ReportOptions(("runs",), **options))


def titles(**options: Any) -> list[str]:
    """Return the methods of the only table."""
    (table,) = report(**options).tables
    return [row.method.title for row in table.rows]


def refusal(**options: Any) -> str:
    """Return the message that the report is refused by."""
    with pytest.raises(ConfigError) as error:
        report(**options)
    return str(error.value)
