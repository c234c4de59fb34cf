"""What is printed while a student trains: epochs from 1, in a terminal's bar and in a log's lines."""

from __future__ import annotations

import io
import re
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.demos.boring_classes import BoringModel

from transkd.training.callbacks import EpochBar, LineProgress


def train(bar: ProgressBar, **length: Any) -> None:
    L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        limit_train_batches=2,
        limit_val_batches=1,
        callbacks=[bar],
        **length,
    ).fit(BoringModel())


@pytest.mark.parametrize(
    ("length", "epochs"),
    [({"max_epochs": 2}, ["1/2", "2/2"]), ({"max_epochs": -1, "max_steps": 4}, ["1", "2"])],
)
def test_epochs_count_from_one(length: dict[str, int], epochs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    written = io.StringIO()
    train(
        EpochBar(refresh_rate=1, console_kwargs={"file": written, "force_terminal": True, "color_system": None}),
        **length,
    )
    assert list(dict.fromkeys(re.findall(r"Epoch ([-\d/]+)", written.getvalue()))) == epochs
    capsys.readouterr()
    train(LineProgress(every_seconds=0), **length)
    assert list(dict.fromkeys(re.findall(r"^epoch ([-\d/]+)  step", capsys.readouterr().out, re.MULTILINE))) == epochs
