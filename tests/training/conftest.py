from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import tiny_backbones  # noqa: F401
from tiny_runs import DISTILLED, Runner

from transkd.training import finish
from transkd.training import run as run_module
from transkd.training import trainer as trainer_module


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def run(compose_config: Callable[..., dict[str, Any]], scenes_root: Path) -> Runner:
    return Runner(compose_config, scenes_root)


@pytest.fixture(scope="session")
def distilled(run: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one distillation with averaged weights, eight steps; what it printed lies beside it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("distilled") / "run"
    with folder.with_name("printed.txt").open("w") as file:
        run(folder, *DISTILLED, "pictures=2", console=Console(width=150, file=file))
    return folder


@pytest.fixture(scope="session")
def supervised(run: Runner, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one training on labels that keeps its last weights; no test changes it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("supervised") / "run"
    run(folder, "checkpoint.select=last")
    return folder


@pytest.fixture
def with_callback(monkeypatch: pytest.MonkeyPatch) -> Callable[[L.Callback | None], None]:
    """Put a callback before those that a run makes, for the runs that follow."""
    made = trainer_module._callbacks

    def use(callback: L.Callback | None) -> None:
        first = [] if callback is None else [callback]
        monkeypatch.setattr(trainer_module, "_callbacks", lambda *args: [*first, *made(*args)])

    return use


@pytest.fixture
def lean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what runs spend on counting costs and on the disk, which their weights do not depend on."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(run_module, "print_preflight", lambda *_: None)
    monkeypatch.setattr(finish, "adapter_facts", lambda *_: {})
    monkeypatch.setattr(finish, "segmenter_gmacs", lambda *_: 0.0)
    monkeypatch.setattr(finish, "latency_ms", lambda *_: 0.0)


@pytest.fixture(scope="session")
def subprocess_env() -> dict[str, str]:
    here = str(Path(__file__).parent)
    path = os.pathsep.join(p for p in (here, os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
