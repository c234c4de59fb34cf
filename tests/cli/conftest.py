"""The commands called in this process, tiny scenes to train on, and saved teachers."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_runs import Command, Outcome, tiny_run
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from transkd.cli.app import main
from transkd.data.synth import write_scenes
from transkd.models import create_segmenter

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))  # file_server, dataset_archives


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Call a command in this process, from an empty folder: ``run("seed=1", name="transkd-train")``."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def call(*arguments: str, name: str = "transkd-train") -> Outcome:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        try:
            with pytest.raises(SystemExit) as end:
                main(name)
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
        out, err = capfd.readouterr()
        code = end.value.code
        return Outcome(code if isinstance(code, int) else int(bool(code)), out, err)

    yield call
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with four training and two validation scenes, to be copied before it is changed."""
    root = tmp_path_factory.mktemp("scenes") / "root"
    write_scenes(root, train=4, val=2, seed=0, size=(64, 128), workers=0, colour=False)
    return root


@pytest.fixture
def scenes(drawn: Path, tmp_path: Path) -> Path:
    """Return scenes that the test may damage."""
    return Path(shutil.copytree(drawn, tmp_path / "scenes"))


@pytest.fixture(scope="session")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with saved segmenters: ``b0`` of 19 classes, ``b1_11`` of 11."""
    folder = tmp_path_factory.mktemp("teachers")
    for name, backbone, classes in (("b0", "mit_b0", 19), ("b1_11", "mit_b1", 11)):
        create_segmenter(backbone, classes).save_pretrained(folder / name)
    return folder


@pytest.fixture
def tiny(drawn: Path) -> list[str]:
    """Return arguments of a run of one step on the scenes; later arguments of the same key are not allowed."""
    return tiny_run(drawn)
