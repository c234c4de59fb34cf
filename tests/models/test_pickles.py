"""Pickled weights: tensors and plain values come in, and nothing is executed."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from transkd.errors import WeightsError
from transkd.models.weights import read_pickle

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


class Bomb:
    """Creates a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def write(content, path: Path, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def message(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_pickle(path)
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    return text


@FORMATS
def test_tensors_and_plain_values_come_as_they_are(tmp_path, zipped):
    weight = torch.rand(3, 4)
    content = {
        "state_dict": {"a.weight": weight},
        "meta": {"CLASSES": ("road", "sky"), "PALETTE": [[1, 2, 3]], "lr": np.float64(0.1), "epoch": np.int64(3)},
        "curve": np.arange(3.0),
        "names": np.array(["a", "b"]),
    }
    found = read_pickle(write(content, tmp_path / "w.pth", zipped))
    assert torch.equal(found["state_dict"]["a.weight"], weight)
    assert found["meta"] == content["meta"]
    assert np.array_equal(found["curve"], content["curve"])
    assert found["names"].tolist() == ["a", "b"]


@FORMATS
@pytest.mark.parametrize("wrapped", [False, True])
def test_code_is_refused_and_never_run(tmp_path, zipped, wrapped):
    bomb = Bomb(tmp_path / "exploded")
    content = {"state_dict": {"a": torch.zeros(1)}, "extra": np.array([bomb], dtype=object) if wrapped else bomb}
    text = message(write(content, tmp_path / "w.pth", zipped))
    assert "is refused, and nothing of it was executed" in text
    assert not (tmp_path / "exploded").exists()
    assert torch.load(tmp_path / "w.pth", weights_only=False)["state_dict"]
    assert (tmp_path / "exploded").exists()  # it would have gone off


@pytest.mark.parametrize(
    ("content", "name"),
    [(nn.Linear(2, 2), "torch.nn.modules.linear.Linear"), ({"args": argparse.Namespace(lr=1)}, "argparse.Namespace")],
)
def test_the_object_that_is_refused_is_named(tmp_path, content, name):
    text = message(write(content, tmp_path / "w.pth"))
    assert f"besides tensors it holds '{name}'" in text
    assert "torch.save(model.state_dict(), …)" in text


def test_a_bare_pickle_is_refused(tmp_path):
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert "nothing of it was executed: it is a bare Python pickle" in message(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
@FORMATS
def test_truncated(tmp_path, zipped, share):
    path = write({"a": torch.rand(100, 100)}, tmp_path / "w.pth", zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert re.search(
        r"truncated or damaged|is damaged and cannot be read|is damaged or no file of torch\.save", message(path)
    )


def test_a_flipped_bit_is_found(tmp_path):
    path = write({"a": torch.zeros(1000)}, tmp_path / "w.pth")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["a"].any()  # PyTorch takes it for other weights
    assert re.search(r"checksum of its record '.*data/0' is wrong", message(path))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty (0 bytes)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html>sign in</html>", "is a web page, not weights"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "is a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "is a JPEG image"),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "is an HDF5 file, as Keras and TensorFlow write"),
        (b"\x1f\x8b" + bytes(20), "is a gzip archive"),
        (b"\x80", "(1 bytes) is no file of weights"),
        (b"hello, I am the weights of a network", "is no file of weights, or a damaged one"),
    ],
)
def test_files_of_other_kinds_are_named(tmp_path, content, what):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert what in message(path)


def test_archives_are_named(tmp_path):
    import tarfile

    (tmp_path / "a.txt").write_text("a")
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.write(tmp_path / "a.txt", "teacher/a.txt")
    assert "is a zip archive, not weights: it holds teacher/a.txt" in message(tmp_path / "w.pth")
    with tarfile.open(tmp_path / "w.pt", "w") as archive:
        archive.add(tmp_path / "a.txt")
    assert "is a tar archive, not weights" in message(tmp_path / "w.pt")


def test_a_missing_file(tmp_path):
    assert "there is no file" in message(tmp_path / "w.pth")


def test_a_damaged_file_of_the_older_format_is_not_called_unsafe_to_open(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    content = bytearray(path.read_bytes())
    content[2] ^= 4
    path.write_bytes(content)
    assert message(path) == f"{path} is damaged or no file of torch.save; download it again"
