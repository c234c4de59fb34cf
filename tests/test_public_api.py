"""What ``import transkd`` gives: all public names, at once, typed."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import transkd

DESIGNED = {"create_segmenter", "load_segmenter", "create_loss", "register_loss", "DistillModule", "SegmentationModule"}
DESIGNED |= {"DistillationLoss", "Segmenter", "Taps", "SceneDataModule"}
DESIGNED |= {"History", "Report", "draw_predictions", "fit", "preflight", "report"}


@pytest.mark.parametrize("name", transkd.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(transkd, name)
    assert name in dir(transkd)
    if not name.startswith("__"):
        assert value.__name__ == name
        assert value.__doc__


def test_the_designed_names_are_public_typed_and_of_this_version() -> None:
    assert set(transkd.__all__) >= DESIGNED
    assert (Path(transkd.__file__).parent / "py.typed").is_file()
    assert importlib.metadata.version("transkd") == transkd.__version__
    with pytest.raises(AttributeError, match="module 'transkd' has no attribute 'create_segmentor'"):
        _ = transkd.create_segmentor


def test_importing_does_not_import_torch() -> None:
    code = "import sys, transkd; print(transkd.__version__, len(dir(transkd)), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[2] == "False"


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    importlib.import_module("transkd.training.preflight")
    assert callable(transkd.preflight)
