"""Archives that would write where they must not, or cannot be read."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from pathlib import Path

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


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_wanted_files_go_where_the_pattern_says(pack, tmp_path: Path) -> None:
    assert unpacked(pack(FILES), tmp_path) == FILES
    shutil.rmtree(tmp_path / "in")
    below = re.compile(r"top/(?P<path>.+)")
    assert unpacked(pack(FILES), tmp_path, below) == {"a.txt": b"a" * 100, "sub/b.txt": b"b"}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt"])
def test_names_that_lead_out_are_refused_before_anything_is_written(pack, name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of the folder"):
        unpacked(pack(FILES | {name: b"evil"}), tmp_path)
    assert list(contents(tmp_path)) == ["archive"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_left_out(kind: bytes, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("top/link")
        link.type, link.linkname = kind, "/etc/passwd"
        for member in (tarfile.TarInfo("top/first.txt"), link):
            archive.addfile(member)
    assert unpacked(stream.getvalue(), tmp_path) == {"top/first.txt": b""}
    assert not (tmp_path / "in/into/top/link").is_symlink()


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds nothing of the dataset"):
        unpacked(zip_of(FILES), tmp_path, re.compile(r"VOCdevkit/(?P<path>.+)"))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_an_archive_cut_off_or_changed(pack, tmp_path: Path) -> None:
    content = pack({"a.bin": bytes(range(256)) * 400})
    with pytest.raises(DataError, match="is damaged, or not a readable archive"):
        unpacked(content[: len(content) // 2], tmp_path)
