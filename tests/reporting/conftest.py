"""Runs to report on."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_runs import TAUGHT, Compose, Maker


@pytest.fixture
def make(tmp_path: Path, compose_config: Compose, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Write runs below the folder ``runs`` of an empty current folder."""
    monkeypatch.chdir(tmp_path)
    return Maker(tmp_path / "runs", compose_config)


@pytest.fixture
def field(make: Maker) -> Path:
    """Return a folder with a teacher, and three seeds of the plain student and of three methods."""
    make.teacher()
    scores = {
        "none": (0.400, 0.410, 0.405),
        "transkd_ea": (0.502, 0.508, 0.511),
        "kd": (0.410, 0.405, 0.409),
        "cwd": (0.371, 0.384, 0.380),
    }
    for method, mious in scores.items():
        for seed, miou in enumerate(mious):
            curve = [(9, miou / 2), (19, miou - 0.05 + 0.01 * seed), (39, miou)]
            make(method, seed, miou, overrides=() if method == "none" else TAUGHT, curve=curve)
    return make.root
