"""Everything that can be wrong with a segmenter's folder, each by its message."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from transkd.errors import ConfigError, WeightsError
from transkd.models import Segmenter, create_segmenter, load_segmenter


@pytest.fixture
def saved(tmp_path) -> Path:
    folder = tmp_path / "run" / "student"
    create_segmenter("mit_b0", num_classes=3).save_pretrained(folder)
    return folder


def rewrite(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def message(source: Path | str, **expected) -> str:
    with pytest.raises(WeightsError) as caught:
        load_segmenter(source, **expected)
    text = str(caught.value)
    assert "\n" not in text
    assert str(source) in text
    return text


@pytest.mark.parametrize("source", ["no/such/run", "nvidia/segformer-b0-finetuned-ade-512-512"])
def test_missing_path_says_how_to_get_weights(source):
    text = message(source)
    assert f"there are no weights at {source}: no such path" in text
    assert "transkd-train +experiment=..._teacher" in text
    assert "teacher.weights=RUN/model" in text


def test_a_file_is_not_a_folder(saved):
    assert "is a file; give the folder, which holds config.json and model.safetensors" in message(
        saved / "model.safetensors"
    )


def test_folder_without_a_segmenter(tmp_path):
    text = message(tmp_path)
    assert "neither it nor its student/ or model/ has config.json and model.safetensors" in text
    assert "transkd-train" in text


def test_folder_without_weights(saved):
    (saved / "model.safetensors").unlink()
    assert f"there is no model.safetensors in {saved}" in message(saved)


@pytest.mark.parametrize("content", ["{", "", "\x00\x01"])
def test_config_that_is_not_json(saved, content):
    (saved / "config.json").write_text(content)
    assert "config.json is not valid JSON" in message(saved)


def test_config_that_is_not_text(saved):
    (saved / "config.json").write_bytes(b"\xff\xfe\xff")
    assert "config.json is not valid JSON" in message(saved)


@pytest.mark.parametrize(
    "content", ['{"model_type": "segformer", "depths": [2, 2, 2, 2]}', "[]", "{}", '{"backbone": "mit_b0"}']
)
def test_config_of_something_else(saved, content):
    (saved / "config.json").write_text(content)
    text = message(saved)
    assert "config.json is not the config of a transkd segmenter, which has the keys backbone, class_names" in text


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("backbone", "mit_b9", "there is no backbone 'mit_b9'; did you mean"),
        ("backbone", ["mit_b0"], "unhashable"),
        ("num_classes", "3", "num_classes must be a whole number"),
        ("mean", None, "'NoneType' object is not iterable"),
        ("head", "fpm", "there is no head 'fpm'"),
    ],
)
def test_config_with_a_value_that_does_not_fit(saved, key, value, reason):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, key: value}))
    text = message(saved)
    assert "config.json describes no segmenter of this version" in text
    assert reason in text


@pytest.mark.parametrize("keep", [0, 4, 200, 100_000])
def test_truncated_weights(saved, keep):
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(content[:keep])
    text = message(saved)
    assert f"model.safetensors ({keep} bytes) is damaged or not a safetensors file" in text
    assert "copy or download it again" in text


def test_a_pickle_is_never_opened(saved, tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    torch.save({"weights": Bomb()}, saved / "model.safetensors")
    assert "is damaged or not a safetensors file" in message(saved)
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    assert "there is no model.safetensors" in message(saved)
    with pytest.raises(WeightsError, match=r"there is no model\.safetensors"):
        Segmenter.from_pretrained(saved)
    assert not (tmp_path / "exploded").exists()


def test_tensors_that_differ_are_named(saved):
    def change(tensors):
        for name in [name for name in tensors if name.startswith("backbone.stages.0.norm")]:
            del tensors[name]
        tensors["head.extra"] = torch.zeros(1)
        tensors["head.classifier.bias"] = torch.zeros(4)

    rewrite(saved, change)
    text = message(saved)
    assert "model.safetensors does not fit the segmenter of its config.json" in text
    assert "1 tensors of another shape: head.classifier.bias [4] instead of [3]" in text
    assert "2 tensors missing: backbone.stages.0.norm.weight, backbone.stages.0.norm.bias;" in text
    assert text.endswith("1 tensors unexpected: head.extra")


def test_only_the_first_three_of_many_are_named(saved):
    rewrite(saved, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".blocks." in name])
    named = re.search(r"missing: (.*)", message(saved)).group(1).split(", ")
    assert len(named) == 4
    assert named[-1] == "..."


def test_from_pretrained_is_as_strict(saved):
    rewrite(saved, lambda tensors: tensors.pop("head.fuse.weight"))
    with pytest.raises(WeightsError, match=r"1 tensors missing: head\.fuse\.weight"):
        Segmenter.from_pretrained(saved)


def test_another_number_of_classes_than_expected(saved):
    text = message(saved, num_classes=19)
    assert "has num_classes 3, not 19" in text
    assert "head.classifier.weight [3, 256, 1, 1] instead of [19, 256, 1, 1]" in text
    assert "backbone.stages" not in text


def test_another_backbone_than_expected(saved):
    text = message(saved.parent, backbone="mit_b2", num_classes=19)
    assert "has backbone mit_b0, not mit_b2 and num_classes 3, not 19" in text
    assert "backbone.patch_embed.proj.weight [32, 3, 7, 7] instead of [64, 3, 7, 7]" in text
    assert "tensors missing: backbone.stages.0.blocks.2" in text


def test_an_expected_backbone_that_does_not_exist(saved):
    with pytest.raises(ConfigError, match="there is no backbone 'resnet50'"):
        load_segmenter(saved, backbone="resnet50")


def test_what_is_expected_and_found_loads(saved):
    assert load_segmenter(saved, backbone="mit_b0", num_classes=3).num_classes == 3
