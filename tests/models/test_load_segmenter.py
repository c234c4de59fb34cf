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
from transkd.models.sources import places


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


@pytest.mark.parametrize("source", ["no/such/run", "./teacher", "weights/teacher.pth", "teacher"])
def test_missing_path_says_how_to_get_weights(source):
    text = message(source)
    assert f"there are no weights at {source}: no such path" in text
    assert "transkd-train +experiment=..._teacher" in text
    assert "RUN/model" in text


def test_a_mistyped_run_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(places, "hub_file", lambda *_: pytest.fail("the hub was asked"))
    (tmp_path / "runs/camvid_teacher-s0").mkdir(parents=True)
    asked = "(the hub is asked only where there is no folder runs)"
    text = message("runs/camvid_teachers0")
    assert f"the folder runs is here and has no camvid_teachers0; did you mean 'camvid_teacher-s0'? {asked}" in text
    assert f"has no x; it holds camvid_teacher-s0 {asked}" in message("runs/x")
    (tmp_path / "runs/camvid_teacher-s0").rmdir()
    assert f"has no x; it holds nothing {asked}" in message("runs/x")


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
    "content", ["[]", "{}", "3", '{"backbone": "mit_b0"}', '{"backbone": "mit_b0", "num_classes": 3, "speed": 9}']
)
def test_config_of_something_else(saved, content):
    (saved / "config.json").write_text(content)
    text = message(saved)
    assert "config.json is not the config of a transkd segmenter, which has the keys backbone, class_names" in text


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"model_type": "bert", "hidden_size": 3}, "of a model of transformers called bert"),
        (
            {"architecture": "pvt_v2_b2", "num_classes": 1000, "num_features": 512, "pretrained_cfg": {}},
            "is a classifier of timm (pvt_v2_b2), and a segmenter is wanted",
        ),
        (
            {"model_type": "segformer"},
            "is of a transformers SegFormer, but its weights seem to be a segmenter of transkd",
        ),
    ],
)
def test_config_of_another_network(saved, config, what):
    (saved / "config.json").write_text(json.dumps(config))
    assert what in message(saved)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("backbone", "mit_b9", "there is no backbone 'mit_b9'; did you mean"),
        ("backbone", ["mit_b0"], "a backbone is a name, not"),
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


@pytest.mark.parametrize(
    ("keep", "what"),
    [
        (0, "is empty (0 bytes)"),
        (4, "(4 bytes) is no file of weights, or a damaged one"),
        (200, "(200 bytes) is damaged or not a safetensors file"),
        (100_000, "(100000 bytes) is damaged or not a safetensors file"),
    ],
)
def test_truncated_weights(saved, keep, what):
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(content[:keep])
    text = message(saved)
    assert f"model.safetensors {what}" in text
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
    assert f"model.safetensors does not fit the mit_b0 segmenter of {saved}/config.json: " in text
    assert "1 tensors of another shape: head.classifier.bias [4] instead of [3]" in text
    assert "2 tensors missing: backbone.stages.0.norm.weight, backbone.stages.0.norm.bias;" in text
    assert text.endswith("1 tensors unexpected: head.extra")


def test_weights_that_are_no_numbers_are_refused(saved):
    def spoil(tensors):
        tensors["head.fuse.weight"][0] = float("nan")

    rewrite(saved, spoil)
    assert "1 tensors hold NaN or infinite values: head.fuse.weight" in message(saved)


def test_quantised_weights_are_refused(saved):
    rewrite(saved, lambda tensors: tensors.update({"head.fuse.weight": tensors["head.fuse.weight"].to(torch.int8)}))
    assert "1 tensors are not floating point, as quantised weights: head.fuse.weight" in message(saved)


def test_half_precision_weights_load(saved):
    expected = load_segmenter(saved).state_dict()
    rewrite(saved, lambda tensors: tensors.update({n: t.half() for n, t in tensors.items() if t.is_floating_point()}))
    state = load_segmenter(saved).state_dict()
    assert state["head.fuse.weight"].dtype == torch.float32
    torch.testing.assert_close(state["head.fuse.weight"], expected["head.fuse.weight"], rtol=1e-3, atol=1e-4)


def test_weights_of_something_else_are_named(saved):
    save_file({"conv1.weight": torch.zeros(3), "layer1.0.conv1.weight": torch.zeros(3)}, saved / "model.safetensors")
    text = message(saved)
    assert "missing: backbone.patch_embed.proj.weight" in text
    assert text.endswith("it seems to be ResNet")


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
    with pytest.raises(ConfigError, match="there is no backbone 'mit_b9'"):
        load_segmenter(saved, backbone="mit_b9")


def test_what_is_expected_and_found_loads(saved):
    assert load_segmenter(saved, backbone="mit_b0", num_classes=3).num_classes == 3
