from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import tiny_backbones  # noqa: F401
import torch

from transkd.data.classes import CAMVID
from transkd.export import export_segmenter
from transkd.models import create_segmenter
from transkd.models.exported import TorchProgram, load_model

RESULTS = {
    "miou": 0.46,
    "pixel_accuracy": 0.88,
    "per_class": dict.fromkeys(CAMVID.names, 0.5) | {"pole": None},
    "protocol": {"dataset": "camvid", "split": "val", "input_size": [64, 96], "resolution": "logit"},
    "data": {"count": 101, "sha256": "0" * 64},
    "image_size": [64, 96],
    "distillation": "transkd_ea",
    "losses": {"csf": 1.0, "ea": 0.5},
    "teacher": "runs/camvid_teacher-s0/model",
    "seed": 3,
    "command": "transkd-train +experiment=camvid_mitb0 seed=3",
    "params": 12345,
    "gmacs": 0.5,
    "backbone": "tiny",
}


def make_run(folder: Path, backbone: str) -> Path:
    """A run's folder with its config, its results, and a student of logits far apart, so that few pixels are ties."""
    torch.manual_seed(0)
    student = create_segmenter(backbone, 11, class_names=CAMVID.names, mean=(0.4, 0.5, 0.45)).eval()
    with torch.no_grad():
        student.head.norm.running_mean.normal_(std=0.1)
        student.head.classifier.weight.normal_(std=0.5)
        student.head.classifier.bias.normal_(std=0.2)
    student.save_pretrained(folder / "student")
    (folder / "config.yaml").write_text("name: camvid\n")
    (folder / "results.json").write_text(json.dumps(RESULTS))
    return folder


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny network."""
    return make_run(tmp_path_factory.mktemp("runs") / "camvid", "tiny")


@pytest.fixture(scope="session")
def mit_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of MiT-B0, with its export for transformers in ``out``."""
    folder = make_run(tmp_path_factory.mktemp("runs") / "mit", "mit_b0")
    export_segmenter(folder / "student", folder / "out", "huggingface")
    return folder


@pytest.fixture(scope="session")
def exported_onnx(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_segmenter(run_folder / "student", tmp_path_factory.mktemp("onnx") / "student.onnx", "onnx").path


@pytest.fixture(scope="session")
def exported_program(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("torch") / "student.pt2"
    return export_segmenter(run_folder, target, "torch", input="float", result="classes").path


@pytest.fixture(scope="session")
def program(exported_program: Path) -> TorchProgram:
    """The program, loaded from a file whose name does not say what it is."""
    model = load_model(shutil.copy(exported_program, exported_program.with_name("program.bin")))
    assert isinstance(model, TorchProgram)
    return model
