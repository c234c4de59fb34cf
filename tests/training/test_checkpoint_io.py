"""Checkpoints that are damaged, foreign or malicious are refused; a failed write harms nothing."""

from __future__ import annotations

import io
import os
import pickle
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import plain

from transkd.errors import CheckpointError
from transkd.runs.checkpoints import SafeCheckpointIO, read_checkpoint, write_checkpoint

CHECKPOINT = {
    "state_dict": {"a": torch.arange(700.0).reshape(7, 100), "b": torch.ones(3, dtype=torch.bfloat16)},
    "epoch": 3,
    "nested": {"list": [1, 2.5, None, "text", True], "tensor": torch.tensor(7)},
}


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "checkpoints" / "last.ckpt"
    write_checkpoint(CHECKPOINT, path)
    return path


def test_what_was_written_is_read_bitwise(saved):
    assert plain(read_checkpoint(saved)) == plain(CHECKPOINT)
    assert plain(torch.load(saved, weights_only=True)) == plain(CHECKPOINT)
    assert [p.name for p in saved.parent.iterdir()] == ["last.ckpt"]


def test_a_runs_checkpoints_load_with_weights_only(run, lean, tmp_path):
    run(tmp_path, "distillation=transkd_ea", "ema_decay=0.9", "trainer.max_epochs=1")
    for name in ("last.ckpt", "best.ckpt"):
        checkpoint = torch.load(tmp_path / "checkpoints" / name, weights_only=True)
        assert {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks"} <= set(checkpoint)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_truncated(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=r"last\.ckpt is (truncated|empty).*resume from another"):
        read_checkpoint(saved)


def test_one_byte_short(saved):
    saved.write_bytes(saved.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        read_checkpoint(saved)


def test_empty(saved):
    saved.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"last\.ckpt is empty; resume from another checkpoint"):
        read_checkpoint(saved)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*nothing\.ckpt"):
        read_checkpoint(tmp_path / "nothing.ckpt")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_checkpoint(tmp_path)


def test_flipped_bits_are_refused_or_harmless(saved):
    """Each flip either is refused or lies where nothing is kept; the weights' own bytes are always refused."""
    content = saved.read_bytes()
    expected = plain(CHECKPOINT)
    weights_at = content.index(CHECKPOINT["state_dict"]["a"].numpy().tobytes())
    anywhere = np.random.default_rng(0).integers(0, len(content), 300).tolist()
    within = list(range(weights_at, weights_at + 2800, 140))
    refused = []
    for place in [*anywhere, *within]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        saved.write_bytes(damaged)
        try:
            assert plain(read_checkpoint(saved)) == expected, f"the flip at {place} changed what is read"
        except CheckpointError:
            refused.append(place)
    assert set(within) <= set(refused)
    assert len(refused) < len(anywhere) + len(within)  # some bytes are padding


def test_the_message_names_the_damaged_record(saved):
    content = bytearray(saved.read_bytes())
    content[content.index(CHECKPOINT["state_dict"]["a"].numpy().tobytes()) + 5] ^= 4
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"the checksum of its record '.*data/\d+' is wrong"):
        read_checkpoint(saved)


class Malicious:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_a_malicious_checkpoint_runs_nothing(tmp_path):
    path, mark = tmp_path / "evil.ckpt", tmp_path / "executed"
    torch.save({"state_dict": {}, "epoch": Malicious(mark)}, path)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt is refused: it holds objects that would run code"):
        read_checkpoint(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the file was not malicious at all"


def test_a_malicious_pickle_that_is_no_zip_runs_nothing(tmp_path):
    path, mark = tmp_path / "evil.ckpt", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Malicious(mark)))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)
    torch.save({"epoch": Malicious(mark)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)
    assert not mark.exists()


def test_foreign_files(tmp_path):
    path = tmp_path / "foreign.ckpt"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"foreign\.ckpt is damaged and cannot be read"):
        read_checkpoint(path)
    torch.save([1, 2, 3], path)
    with pytest.raises(CheckpointError, match="holds a list, not a training checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize("there_was_one", [True, False])
def test_a_full_disk_leaves_the_old_file(saved, monkeypatch, there_was_one):
    before = saved.read_bytes()
    if not there_was_one:
        saved.unlink()

    def fills_up(value, file):
        buffer = io.BytesIO()
        whole(value, buffer)
        file.write(buffer.getvalue()[:500])
        raise OSError(28, "No space left on device")

    whole = torch.save
    monkeypatch.setattr(torch, "save", fills_up)
    kept = "; the one before it is unharmed" if there_was_one else "No space left on device"
    with pytest.raises(CheckpointError, match=rf"last\.ckpt could not be written: .*No space.*{kept[10:]}$"):
        write_checkpoint({"epoch": 4}, saved)
    assert [p.name for p in saved.parent.iterdir()] == (["last.ckpt"] if there_was_one else [])
    if there_was_one:
        assert saved.read_bytes() == before


def test_torchs_own_words_do_not_hide_what_the_system_said(saved):
    """Its writer says "unexpected pos" when it fails at the end of a file that could not be written."""
    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written: \[Errno 27\] File too large; the one before"):
            write_checkpoint({"weights": torch.zeros(1_000_000)}, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert saved.read_bytes() == before


def test_interrupted_at_any_moment_of_writing_the_old_file_stays_whole(saved, monkeypatch):
    """Not an error that can be handled but an end: at the flush to the disk, and at the replacing."""

    class EndError(BaseException):
        pass

    def end(*_):
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
    assert [p.name for p in saved.parent.iterdir()] == ["last.ckpt"]


def test_the_file_is_on_the_disk_before_it_replaces_the_old_one(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (events.append("replace"), replace(self, to))[1])
    write_checkpoint(CHECKPOINT, tmp_path / "last.ckpt")
    assert events == ["fsync", "replace", "fsync"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="could not be written"):
        write_checkpoint(CHECKPOINT, tmp_path / "file" / "last.ckpt")


def test_lightning_is_given_the_same_guarantees(saved):
    saved.write_bytes(saved.read_bytes()[:-10])
    with pytest.raises(CheckpointError):
        SafeCheckpointIO().load_checkpoint(saved, weights_only=False)


def test_resuming_from_a_damaged_checkpoint_is_refused_before_training(run, saved, tmp_path):
    saved.write_bytes(saved.read_bytes()[:-10])
    (saved.parent.parent / "config.yaml").write_text("{}")
    with pytest.raises(CheckpointError, match=r"last\.ckpt is truncated"):
        run(saved.parent.parent, "resume=auto")
