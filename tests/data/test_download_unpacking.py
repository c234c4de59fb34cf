"""Archives that would write where they must not, or cannot be read."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from dataset_archives import tar_of, zip_of
from file_server import contents

from transkd.data.download import Silent
from transkd.data.download.unpack import unpack
from transkd.errors import DataError

ALL = re.compile(r"(?P<path>.+)")
FILES = {"top/a.txt": b"a" * 100, "top/sub/b.txt": b"b", "other/c.txt": b"c"}


def unpacked(content: bytes, folder: Path, wanted: re.Pattern[str] = ALL) -> dict[str, bytes]:
    archive = folder / "archive"
    archive.write_bytes(content)
    unpack(archive, wanted, folder / "in/into", Silent())
    return contents(folder / "in/into")


def tar_with(member: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("top/first.txt"))
        archive.addfile(member, io.BytesIO(b"x" * member.size))
    return stream.getvalue()


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_wanted_files_go_where_the_pattern_says(pack, tmp_path: Path) -> None:
    assert unpacked(pack(FILES), tmp_path) == FILES
    shutil.rmtree(tmp_path / "in")
    below = re.compile(r"top/(?P<path>.+)")
    assert unpacked(pack(FILES), tmp_path, below) == {"a.txt": b"a" * 100, "sub/b.txt": b"b"}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "a\\..\\..\\evil.txt"])
def test_names_that_lead_out_are_refused_before_anything_is_written(pack, name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of the folder; nothing was unpacked"):
        unpacked(pack(FILES | {name: b"evil"}), tmp_path)
    assert list(contents(tmp_path)) == ["archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind: bytes, tmp_path: Path) -> None:
    member = tarfile.TarInfo("top/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match=r"'top/link' is a link or a device, not a file; nothing was unpacked"):
        unpacked(tar_with(member), tmp_path)
    assert list(contents(tmp_path)) == ["archive"]


def test_what_is_not_wanted_may_be_anything(tmp_path: Path) -> None:
    member = tarfile.TarInfo("../link")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    assert unpacked(tar_with(member), tmp_path, re.compile(r"(?P<path>top/.+)")) == {"top/first.txt": b""}


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds nothing of the dataset"):
        unpacked(zip_of(FILES), tmp_path, re.compile(r"VOCdevkit/(?P<path>.+)"))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_an_archive_cut_off_or_changed(pack, tmp_path: Path) -> None:
    content = pack({"a.bin": bytes(range(256)) * 400})
    with pytest.raises(DataError, match="is damaged, or not a readable archive"):
        unpacked(content[: len(content) // 2], tmp_path)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_compressed_tar_with_a_flipped_bit(kind: str, tmp_path: Path) -> None:
    """gzip tells of it at the archive's very end; gzip and bz2 by errors of the kind that full disks raise."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{kind}") as archive:
        member = tarfile.TarInfo("a.bin")
        member.size = 100_000
        archive.addfile(member, io.BytesIO(np.random.default_rng(0).bytes(member.size)))
    content = bytearray(stream.getvalue())
    content[len(content) // 2] ^= 1
    with pytest.raises(DataError, match="archive is damaged, or not a readable archive"):
        unpacked(bytes(content), tmp_path)


def test_more_than_the_disk_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: free)
    with pytest.raises(DataError, match=r"unpacking archive needs 102 bytes, but"):
        unpacked(zip_of(FILES), tmp_path)
    assert not (tmp_path / "in").exists()
