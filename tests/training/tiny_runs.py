"""Training runs of a few seconds, and comparisons of what they leave."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from rich.console import Console

from transkd.runs.checkpoints import read_checkpoint
from transkd.training.run import train

RATES = {"train/images_per_s", "train/data_wait"}
TINY = (
    "imports=[tiny_backbones]",
    "student.backbone=tiny",
    "teacher.backbone=tiny_teacher",
    "teacher.weights=random",
    "data.size=[64,64]",
    "data.batch_size=3",
    "data.val_batch_size=3",
    "data.workers=0",
    "pictures=0",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "trainer.log_every_n_steps=1",
    "trainer.num_sanity_val_steps=0",
    "checkpoint.every_n_steps=1",
)
DISTILLED = ("distillation=transkd_ea", "ema_decay=0.9")
Compose = Callable[..., dict[str, Any]]


class Runner:
    """Starts tiny runs in one folder of scenes."""

    def __init__(self, compose: Compose, scenes: Path) -> None:
        self.compose = compose
        self.scenes = scenes

    def overrides(self, output: Path, *more: str) -> list[str]:
        return [*TINY, f"data.root={self.scenes}", f"output={output}", *more]

    def config(self, output: Path, *more: str) -> dict[str, Any]:
        return self.compose(*self.overrides(output, *more))

    def __call__(self, output: Path, *more: str, console: Console | None = None) -> dict[str, Any]:
        return train(self.config(output, *more), console=console or Console(quiet=True))


def plain(value: Any) -> Any:
    """Tensors as (dtype, shape, bytes), so that containers compare bitwise with ==."""
    if isinstance(value, torch.Tensor):
        value = value.detach().contiguous()
        return str(value.dtype), tuple(value.shape), value.flatten().view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def state(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    """What a checkpoint holds that a resumed run must get back bitwise, without clocks and loop counters."""
    checkpoint = read_checkpoint(folder / "checkpoints" / name)
    kept = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step", "random_states")
    callbacks = {
        key: value for key, value in checkpoint["callbacks"].items() if key.startswith(("RunCheckpoints", "StudentEMA"))
    }
    return plain({**{key: checkpoint[key] for key in kept}, "callbacks": callbacks})


def weights(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    return plain(read_checkpoint(folder / "checkpoints" / name)["state_dict"])


def rows(folder: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv without the columns that measure time."""
    with (folder / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in RATES} for row in csv.DictReader(file)]


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last.ckpt", "best.ckpt"):
        expected, got = state(one, name), state(other, name)
        for key in expected:
            assert got[key] == expected[key], f"{name}: {key} differs"
    assert rows(other) == rows(one)


class At(L.Callback):
    """Does something once, at the n-th call of a hook."""

    def __init__(self, hook: str, n: int, action: Callable[..., Any]) -> None:
        self.calls = 0

        def called(trainer: L.Trainer, module: L.LightningModule, *_: Any, **__: Any) -> None:
            self.calls += 1
            if self.calls == n:
                action(trainer, module)

        setattr(self, hook, called)
