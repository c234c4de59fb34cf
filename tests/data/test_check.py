"""The survey of a dataset: counted by hand, and every fault found."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_files import ids, picture, write

from transkd.data.check import Kind, Survey, erfnet_weights, median_frequency_weights, survey

NAMES = ("road", "car", "sky")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six training and three validation scenes; no pixel is of the class sky in four of them."""
    root = tmp_path / "own"
    for split, count in (("train", 6), ("val", 3)):
        for i in range(count):
            size = (24, 32) if i % 2 else (20, 30)
            label = ids(i, range(2 if i < 4 else 3), size)
            label[0, :5] = 255
            write(root / f"images/{split}/{split}_{i}.png", picture(i + (100 if split == "val" else 0), size))
            write(root / f"masks/{split}/{split}_{i}.png", label)
    (root / "classes.yaml").write_text("- road\n- car\n- sky\n- ignore: [255]\n")
    return root


def surveyed(root: Path, **options: object) -> Survey:
    return survey("folder", str(root), None, **options)


def test_counts_are_those_of_a_plain_loop(root: Path) -> None:
    found = surveyed(root)
    assert not found.findings
    train = found.splits["train"]
    pixels, ignored, levels, where = Counter(), 0, [], Counter()
    for i in range(6):
        label = np.asarray(Image.open(root / f"masks/train/train_{i}.png"))
        levels.append(np.asarray(Image.open(root / f"images/train/train_{i}.png")).reshape(-1, 3))
        counted = Counter(label.ravel().tolist())
        ignored += counted.pop(255)
        pixels += counted
        for value in counted:
            where[value] += label.size
    levels_of_all = np.concatenate(levels) / 255
    numbers = train.as_dict()
    assert numbers["scenes"] == 6
    assert numbers["sizes"] == {"20x30": 3, "24x32": 3}
    assert numbers["pixels"] == {name: pixels[i] for i, name in enumerate(NAMES)}
    assert numbers["ignored_pixels"] == ignored == 30
    np.testing.assert_allclose(numbers["mean"], levels_of_all.mean(0), atol=1e-6)
    np.testing.assert_allclose(numbers["std"], levels_of_all.std(0), atol=1e-6)
    assert found.splits["val"].absent == ["sky"]
    weights = found.class_weights()
    total = sum(pixels.values())
    np.testing.assert_allclose(weights["erfnet"], [1 / math.log(1.02 + pixels[i] / total) for i in range(3)], atol=1e-6)
    frequencies = [pixels[i] / where[i] for i in range(3)]
    np.testing.assert_allclose(
        weights["median_frequency"], [sorted(frequencies)[1] / value for value in frequencies], atol=1e-6
    )


def test_processes_find_what_one_finds(root: Path) -> None:
    (root / "images/train/train_2.png").write_bytes(b"no picture")
    steps: list[tuple[int, int]] = []
    alone = surveyed(root).as_dict()
    shared = surveyed(root, workers=2, progress=lambda *step: steps.append(step)).as_dict()
    assert alone == shared
    assert steps == [(i, 9) for i in range(1, 10)]


def test_weights_by_the_published_rules() -> None:
    """ERFNet's by its formula on CamVid's counts; SegNet's median rule on frequencies 0.5, 0.25 and 0.05."""
    np.testing.assert_allclose(
        erfnet_weights(np.array([98, 2, 0])), [1 / math.log(2.0), 1 / math.log(1.04), 1 / math.log(1.02)]
    )
    weights = median_frequency_weights(np.array([500, 250, 50, 0]), np.array([1000, 1000, 1000, 0]))
    np.testing.assert_allclose(weights, [0.5, 1, 5, 0])


def damage(root: Path) -> dict[Kind, list[str]]:
    """Damage a root in every way; return the files by what is wrong with them."""
    train = root / "images/train"
    (train / "train_0.png").write_bytes((train / "train_0.png").read_bytes()[:200])
    (root / "masks/train/train_1.png").write_bytes(b"")
    write(root / "masks/train/train_2.png", np.full((20, 30), 77, np.uint8))
    write(root / "masks/train/train_3.png", ids(0, range(3), (12, 16)))
    write(root / "masks/train/train_4.png", np.full((20, 30), 255, np.uint8))
    write(root / "images/train/alone.png", picture(7))
    write(root / "masks/val/orphan.png", ids(7, range(3)))
    Image.open(train / "train_5.png").save(root / "images/val/val_1.bmp")
    (root / "images/val/val_1.png").unlink()
    return {
        Kind.IMAGE: ["train_0.png"],
        Kind.LABEL: ["train_1.png"],
        Kind.IDS: ["train_2.png"],
        Kind.SIZE: ["train_3.png"],
        Kind.IGNORED: ["train_4.png"],
        Kind.UNMATCHED: ["alone", "orphan"],
        Kind.SHARED: ["val_1.bmp"],
    }


def test_every_fault_is_found_and_named(root: Path) -> None:
    expected = damage(root)
    found = surveyed(root)
    by_kind = {kind: [Path(f.file).name for f in found.findings if f.kind is kind] for kind in Kind}
    assert {kind: names for kind, names in by_kind.items() if names} == expected
    for finding in found.findings:
        assert Path(finding.file).name in finding.message
    assert [sample.name for sample in found.splits["train"].sound] == ["train_5"]
    written = json.loads(json.dumps(found.as_dict()))
    assert len(written["problems"]) == 8
    assert written["problems"][0].keys() == {"kind", "split", "file", "message"}


def test_pictures_repeated_within_a_split_are_reported(root: Path) -> None:
    Image.open(root / "images/train/train_0.png").save(root / "images/train/train_2.png")
    found = surveyed(root)
    assert not found.findings
    assert [[path.stem for path in paths] for paths in found.splits["train"].repeated] == [["train_0", "train_2"]]
