"""What ``import transkd`` gives: all public names, at once, typed."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import transkd

DESIGNED = {
    "create_segmenter",
    "load_segmenter",
    "create_loss",
    "register_loss",
    "DistillModule",
    "SegmentationModule",
    "DistillationLoss",
    "Segmenter",
    "Taps",
    "SceneDataModule",
}


@pytest.mark.parametrize("name", transkd.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(transkd, name)
    assert name in dir(transkd)
    if not name.startswith("__"):
        assert value.__name__ == name
        assert value.__doc__


def test_the_designed_names_are_public() -> None:
    assert set(transkd.__all__) >= DESIGNED


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'transkd' has no attribute 'create_segmentor'"):
        _ = transkd.create_segmentor


def test_importing_is_instant() -> None:
    code = "import sys, transkd; print(transkd.__version__, len(dir(transkd)), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[2] == "False"


def test_the_version_is_the_packages() -> None:
    assert importlib.metadata.version("transkd") == transkd.__version__


def test_the_package_is_typed() -> None:
    assert (Path(transkd.__file__).parent / "py.typed").is_file()


def test_what_notebooks_use_is_public() -> None:
    assert set(transkd.__all__) >= {"History", "Report", "draw_predictions", "fit", "preflight", "report"}


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    importlib.import_module("transkd.training.preflight")
    assert callable(transkd.preflight)


def test_five_lines_in_a_notebook() -> None:
    module = transkd.DistillModule(
        student=transkd.create_segmenter("mit_b0", num_classes=3),
        teacher=transkd.create_segmenter("mit_b0", num_classes=3),
        losses={"csf": 1.0, "ea": 1.0},
    )
    assert set(module.distillation_losses()) == {"csf", "ea"}
