"""Checkpoints that are damaged, foreign or malicious are refused; a failed write harms nothing."""

from __future__ import annotations

import os
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from transkd.errors import CheckpointError
from transkd.runs.checkpoints import read_checkpoint, write_checkpoint

CHECKPOINT = {
    "state_dict": {"a": torch.arange(700.0).reshape(7, 100), "b": torch.ones(3, dtype=torch.bfloat16)},
    "epoch": 3,
    "nested": {"list": [1, 2.5, None, "text", True], "tensor": torch.tensor(7)},
}


def plain(value: Any) -> Any:
    """Tensors as bytes, so that containers compare bitwise."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.flatten().view(torch.uint8).numpy().tobytes()
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "last.ckpt"
    write_checkpoint(CHECKPOINT, path)
    return path


def test_what_was_written_is_read_bitwise(saved: Path) -> None:
    assert plain(read_checkpoint(saved)) == plain(CHECKPOINT)
    assert plain(torch.load(saved, weights_only=True)) == plain(CHECKPOINT)
    assert [p.name for p in saved.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.9999])
def test_a_truncated_file(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"last\.ckpt is truncated, damaged.*resume from another"):
        read_checkpoint(saved)


def test_flipped_bits_are_refused_or_harmless(saved: Path) -> None:
    """Each flip either is refused or lies where nothing is kept; the weights' own bytes are always refused."""
    content, expected = saved.read_bytes(), plain(CHECKPOINT)
    weights_at = content.index(CHECKPOINT["state_dict"]["a"].numpy().tobytes())
    anywhere = np.random.default_rng(0).integers(0, len(content), 200).tolist()
    within = list(range(weights_at, weights_at + 2800, 140))
    refused: dict[int, str] = {}
    for place in [*anywhere, *within]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        saved.write_bytes(damaged)
        try:
            assert plain(read_checkpoint(saved)) == expected, f"the flip at {place} changed what is read"
        except CheckpointError as error:
            refused[place] = str(error)
    assert set(within) <= set(refused)
    assert all("the checksum of its record" in refused[place] for place in within)
    assert len(refused) < len(anywhere) + len(within)  # some bytes are padding


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_malicious_checkpoint_runs_nothing(tmp_path: Path) -> None:
    path, mark = tmp_path / "evil.ckpt", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Malicious(mark)))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)
    torch.save({"state_dict": {}, "epoch": Malicious(mark)}, path)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt is refused: it holds objects that would run code"):
        read_checkpoint(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file was not malicious at all"


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match="there is no checkpoint"):
            read_checkpoint(path)
    path = tmp_path / "foreign.ckpt"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"foreign\.ckpt is truncated, damaged or not a checkpoint"):
        read_checkpoint(path)
    torch.save([1, 2, 3], path)
    with pytest.raises(CheckpointError, match="holds a list, not a training checkpoint"):
        read_checkpoint(path)


def test_a_full_disk_leaves_the_old_file(saved: Path) -> None:
    """Torch's writer says "unexpected pos" when a file could not be written; the message has the system's reason."""
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written: \[Errno 27\] File too large.* is unharmed$"):
            write_checkpoint({"weights": torch.zeros(1_000_000)}, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.read_bytes() for p in saved.parent.iterdir()] == [before]


def test_interrupted_at_any_moment_of_writing_the_old_file_stays_whole(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndError(BaseException):
        """Not an error that can be handled but an end: at the flush to the disk, and at the replacing."""

    def end(*_: object) -> None:
        raise EndError

    before = saved.read_bytes()
    for target, name in ((os, "fsync"), (Path, "replace")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, end)
            with pytest.raises(EndError):
                write_checkpoint({"epoch": 4}, saved)
        assert saved.read_bytes() == before
    write_checkpoint({"epoch": 5}, saved)
    assert read_checkpoint(saved) == {"epoch": 5}
