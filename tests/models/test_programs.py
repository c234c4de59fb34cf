"""torch.export programs that a user was given: nothing in them runs before it is known to be a segmenter of ours."""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from transkd.errors import WeightsError
from transkd.models.exported import load_model
from transkd.models.programs import PROGRAM_METADATA, check_program

METADATA = {"num_classes": 2, "input": "float", "result": "logits", "size": None}


class Pixels(nn.Module):
    """The smallest network of images of any size: one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)

    def forward(self, images):
        return self.layer(images).reshape(images.shape[0], 2, images.shape[2], images.shape[3])


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("programs") / "pixels.pt2"
    axes = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(Pixels().eval(), (torch.rand(2, 3, 40, 50),), dynamic_shapes=(axes,))
    exported._guards_code = []
    torch.export.save(exported, path, extra_files={PROGRAM_METADATA: json.dumps(METADATA)})
    return path


def changed(program: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, change(name, source.read(name)))
    return target


def test_a_whole_file_runs_at_any_size_and_its_errors_are_one_message(program: Path) -> None:
    model = load_model(program)
    assert model(torch.rand(1, 3, 33, 70)).shape == (1, 2, 33, 70)
    assert check_program(program) == METADATA
    model.module = lambda images: torch.zeros(2) + torch.zeros(3)
    with pytest.raises(WeightsError, match=r"pixels.pt2 cannot run 1 image\(s\) of 40x50: The size of tensor a"):
        model(torch.rand(1, 3, 40, 50))


def test_a_changed_bit_is_found(program: Path, tmp_path: Path) -> None:
    content = bytearray(program.read_bytes())
    with zipfile.ZipFile(program) as archive:
        record = next(entry for entry in archive.infolist() if entry.filename.endswith("weight_0"))
    start = content.index(zipfile.ZipFile(program).read(record))
    content[start + 1] ^= 1
    (tmp_path / "flipped.pt2").write_bytes(content)
    with pytest.raises(WeightsError, match=r"flipped.pt2 is damaged \(the checksum of its record '.*weight_0' is wr"):
        load_model(tmp_path / "flipped.pt2")


def test_a_pickle_in_it_is_not_run(program: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(((Touch(tmp_path / "was_here"),), {}), buffer)
    evil = changed(
        program, tmp_path / "evil.pt2", lambda name, data: buffer.getvalue() if "sample_inputs" in name else data
    )
    with pytest.raises(WeightsError, match=r"is refused, and nothing of it was executed: it holds a pickle of other"):
        load_model(evil)
    assert not (tmp_path / "was_here").exists()
    logging.disable(logging.WARNING)  # torch's own warning of it has a wrong argument
    try:
        torch.export.load(evil)  # which does run it: the danger is real
    finally:
        logging.disable(logging.NOTSET)
    assert (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"use_pickle": false', b'"use_pickle": true', "pickled weights"),
        (b"torch.ops.aten.conv2d.default", b"torch.hub.load_state_dict_from_url", "a call of 'torch.hub.load"),
        (b"Symbol(", b"__import__(", "the expression"),
        (b'"guards_code": []', b'"guards_code": ["print(1)"]', "the guard 'print"),
        (b"", b"", "a record 'data/aotinductor/model/model.so'"),
    ],
)
def test_what_torch_would_run_is_refused(program: Path, tmp_path: Path, old: bytes, new: bytes, reason: str) -> None:
    seen = []

    def change(name: str, data: bytes) -> bytes:
        seen.append(old in data)
        return data.replace(old, new) if old and name.endswith(".json") else data

    evil = changed(program, tmp_path / "evil.pt2", change)
    assert any(seen)
    if not old:
        with zipfile.ZipFile(evil, "a") as archive:
            archive.writestr(f"{archive.namelist()[0].partition('/')[0]}/data/aotinductor/model/model.so", b"\x7fELF")
    with pytest.raises(WeightsError, match=f"is refused, and nothing of it was executed: it holds {reason}"):
        load_model(evil)
