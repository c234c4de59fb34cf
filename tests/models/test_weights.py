"""State dicts out of files: in every wrapping, for all three uses, and what is refused. Nothing in a file is run."""

from __future__ import annotations

import argparse
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from released_names import filled, message, nvlabs_state, released_shapes
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

import transkd
from transkd.distillation.release import adapter_names
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.create import load_pretrained
from transkd.models.weights import PREFIXES, WRAPPERS, read_content, read_state

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def shards(state: dict, folder: Path) -> Path:
    names = list(state)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: state[name].contiguous() for name in part}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in parts.items() for name in part}}))
    return index


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


WRAPPINGS = {
    "bare": lambda state, folder: saved(state, folder / "w.pth"),
    "safetensors": lambda state, folder: [save_file(state, folder / "w.png"), folder / "w.png"][1],
    "sharded": shards,
    **{
        prefix: lambda state, folder, prefix=prefix: saved(
            {"state_dict": {prefix + name: tensor for name, tensor in state.items()}}, folder / "w.ckpt"
        )
        for prefix in (*PREFIXES, "module._orig_mod.")
    },
    "averaged": lambda state, folder: saved(
        {"model_ema": {"n_averaged": torch.tensor(3)} | {f"module.{n}": t for n, t in state.items()}, "model": {}},
        folder / "w.pth",
    ),
}


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return create_segmenter("mit_b0", num_classes=3).eval()


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_one_file_in_every_wrapping_serves_segmenters_backbones_and_releases(wrapping, segmenter, tmp_path):
    path = WRAPPINGS[wrapping](nvlabs_state(segmenter), tmp_path)
    found, filled_backbone = load_segmenter(path), create_segmenter("mit_b0", 5)
    load_pretrained(filled_backbone, path)
    expected = segmenter.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.state_dict().items())
    for name, tensor in filled_backbone.backbone.state_dict().items():
        assert torch.equal(tensor, expected[f"backbone.{name}"])


def test_a_release_in_a_wrapping_gives_student_and_adapters(tmp_path):
    student = create_segmenter("mit_b0", 20)
    losses = {name: transkd.create_loss(name, student=student, teacher=student) for name in ("csf", "pea")}
    state = filled(released_shapes("mit_b0", "student."))
    for name, loss in losses.items():
        state |= {adapter_names(name)[ours]: tensor for ours, tensor in loss.state_dict().items()}
    release = transkd.load_release(WRAPPINGS["module."](state, tmp_path))
    assert release.form == "transkd_base"
    assert torch.equal(release.student.head.classifier.weight, state["student.linear_pred.weight"])
    assert torch.equal(release.losses["pea"].linears[0].weight, state["embed1_linearproject.weight"])


def test_keys_of_training_scripts_and_averages_before_what_was_averaged(tmp_path):
    network = nn.Linear(2, 2)
    for key in (*WRAPPERS, "any_other_key"):
        saved({"epoch": 3, key: network.state_dict(), "optimizer": {"lr": 0.1}}, tmp_path / "w.pth")
        assert torch.equal(read_state(tmp_path / "w.pth")["weight"], network.weight)
    average = AveragedModel(network)
    saved({"model": {"weight": torch.zeros(2, 2)}, "state_dict_ema": average.state_dict()}, tmp_path / "w.pth")
    assert torch.equal(read_state(tmp_path / "w.pth")["weight"], network.weight)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([1, 2], "holds a list, not a state dict"),
        ({}, "holds no state dict; its keys are none"),
        ({"lr": 0.1, "epoch": 3}, "holds no state dict; its keys are lr, epoch"),
        ({"generator": {"a": torch.zeros(1)}, "critic": {"a": torch.zeros(1)}}, "several state dicts (generator, crit"),
    ],
)
def test_files_without_one_state_dict(content, what, tmp_path):
    assert what in message(saved(content, tmp_path / "w.pth"), read_state)


def test_shards_that_are_missing_or_lie_elsewhere(tmp_path):
    index = shards({"a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path)
    (tmp_path / "model-2.safetensors").unlink()
    assert "lists model-2.safetensors, which is not beside it" in message(index, read_state)
    index.write_text(json.dumps({"weight_map": {"a": "../../secret.bin"}}))
    assert "lists a file outside of its folder (../../secret.bin)" in message(index, read_state)
    index.write_text('{"backbone": "mit_b0"}')
    assert "is a JSON file, not weights; give the folder" in message(index, read_state)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "(0 bytes) is neither safetensors nor a PyTorch file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>sign in</html>", "is a web page, not weights"),
        (b"hello, I am the weights of a network", "is neither safetensors nor a PyTorch file; copy or download"),
        (b"\x08\x0a\x12\x07pytorch\x1a\x062.15.0:\xc6\x0c" + bytes(100), "is an exported model (onnx)"),
        (b"PK\x03\x04 a ZIP file without its end", "is truncated or damaged"),
        (b"\x10" + bytes(7) + b'{"a": {"dtype"', "(22 bytes) is truncated or damaged"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, content, what):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    assert what in message(path, read_state)


def test_archives_and_programs_are_no_weights(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("teacher/a.txt", "a")
    assert "is neither safetensors nor a PyTorch file" in message(tmp_path / "w.pth", read_state)
    torch.export.save(torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),)), tmp_path / "student.pt2")
    assert "is an exported model (torch.export)" in message(tmp_path / "student.pt2", read_state)
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "student.pt")
    assert "is an exported model (torchscript)" in message(tmp_path / "student.pt", read_state)


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@FORMATS
def test_tensors_and_plain_values_come_as_they_are(tmp_path, zipped):
    weight = torch.rand(3, 4)
    content = {
        "state_dict": {"a.weight": weight},
        "meta": {"CLASSES": ("road", "sky"), "PALETTE": [[1, 2, 3]], "lr": np.float64(0.1), "epoch": np.int64(3)},
        "curve": np.arange(3.0),
        "names": np.array(["a", "b"]),
    }
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_content(tmp_path / "w.pth")
    assert torch.equal(found["state_dict"]["a.weight"], weight)
    assert found["meta"] == content["meta"]
    assert np.array_equal(found["curve"], content["curve"])
    assert found["names"].tolist() == ["a", "b"]


@FORMATS
@pytest.mark.parametrize("wrapped", [False, True])
def test_code_is_refused_and_never_run(tmp_path, zipped, wrapped):
    bomb = Bomb(tmp_path / "exploded")
    content = {"state_dict": {"a": torch.zeros(1)}, "extra": np.array([bomb], dtype=object) if wrapped else bomb}
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert "is refused, and nothing of it was executed" in message(tmp_path / "w.pth", read_state)
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(bomb))
    assert "nothing of it was executed: it is a bare Python pickle" in message(tmp_path / "w.pkl", read_state)
    assert not (tmp_path / "exploded").exists()
    assert torch.load(tmp_path / "w.pth", weights_only=False)["state_dict"]
    assert (tmp_path / "exploded").exists()  # it would have gone off


@pytest.mark.parametrize(
    ("content", "name"),
    [(nn.Linear(2, 2), "torch.nn.modules.linear.Linear"), ({"args": argparse.Namespace(lr=1)}, "argparse.Namespace")],
)
def test_the_object_that_is_refused_is_named(tmp_path, content, name):
    text = message(saved(content, tmp_path / "w.pth"), read_state)
    assert f"besides tensors it holds '{name}'" in text
    assert "torch.save(model.state_dict(), …)" in text


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@FORMATS
def test_truncated(tmp_path, zipped, share):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.rand(100, 100)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "is truncated or damaged" in message(path, read_state)


def test_a_flipped_bit_is_found(tmp_path):
    path = saved({"a": torch.zeros(1000)}, tmp_path / "w.pth")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["a"].any()  # PyTorch takes it for other weights
    assert re.search(r"checksum of its record '.*data/0' is wrong", message(path, read_state))
