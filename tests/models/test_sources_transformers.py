"""Folders and repositories of transformers' SegFormers, in all that may be in them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("transformers")
from transformers import SegformerForImageClassification, SegformerImageProcessor, SegformerModel
from transformers_layout import SIZES, reference_segformer

from transkd.errors import WeightsError
from transkd.models import Segmenter, load_segmenter
from transkd.models.formats.transformers import encoder_from_transformers
from transkd.models.sources import places
from transkd.models.sources.places import HubFileMissingError

LABELS = {0: "road", 1: "sky", 2: "car"}


@pytest.fixture(scope="module")
def reference():
    return reference_segformer("mit_b0", 3, id2label=LABELS, label2id={v: k for k, v in LABELS.items()})


@pytest.fixture
def folder(reference, tmp_path) -> Path:
    reference.save_pretrained(tmp_path)
    return tmp_path


def same(a: Segmenter, b: Segmenter) -> bool:
    state = b.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in a.state_dict().items())


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def message(source, **expected) -> str:
    with pytest.raises(WeightsError) as caught:
        load_segmenter(source, **expected)
    text = str(caught.value)
    assert "\n" not in text
    assert str(source) in text
    return text


def test_what_a_folder_says_comes_along(folder):
    config = load_segmenter(folder, backbone="mit_b0", num_classes=3).config
    assert config["class_names"] == ["road", "sky", "car"]
    assert config["norm_eps"] == 1e-5
    assert config["mean"] == [0.485, 0.456, 0.406]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]},
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [123.0, 116.0, 103.0], "image_std": [58.0, 57.0, 56.0]},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0, 1.0, 1.0], "image_std": [1.0, 1.0, 1.0]},
        {"do_rescale": False, "do_normalize": False},
    ],
)
def test_normalisation_is_that_of_the_image_processor(folder, options):
    processor = SegformerImageProcessor(do_resize=False, **options)
    processor.save_pretrained(folder)
    image = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
    expected = processor(images=image, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(load_segmenter(folder).normalise(image[None]), expected.float(), rtol=1e-5, atol=1e-5)


def test_pickled_and_sharded_files(reference, folder, tmp_path):
    expected = load_segmenter(folder)
    shards = tmp_path / "shards"
    reference.save_pretrained(shards, max_shard_size="4MB")
    assert len(list(shards.glob("*.safetensors"))) > 2
    assert same(load_segmenter(shards), expected)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text((folder / "config.json").read_text())
    torch.save(load_file(folder / "model.safetensors"), pickled / "pytorch_model.bin")
    assert same(load_segmenter(pickled), expected)
    assert load_segmenter(pickled / "pytorch_model.bin").config == expected.config
    assert same(load_segmenter(pickled / "pytorch_model.bin"), expected)
    part = sorted(shards.glob("*.safetensors"))[0]
    assert "files of a sharded model; give its folder" in message(part)
    part.unlink()
    assert f"lacks {part.name}, of the files that model.safetensors.index.json names" in message(shards)


def test_an_index_names_only_files_of_its_folder(folder):
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../../secret.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "names a file outside of its folder (../../secret.bin)" in message(folder)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sr_ratios": [8, 4, 2, 2]}, "sr_ratios [8, 4, 2, 2], not [8, 4, 2, 1]"),
        ({"reshape_last_stage": False}, "reshape_last_stage False, not True"),
        ({"depths": [2, 2, 2, 3]}, "depths [2, 2, 2, 3], which no MiT-B0 to B5 has"),
        ({"hidden_sizes": [16, 32, 64, 128]}, "hidden_sizes [16, 32, 64, 128] with depths"),
        ({"hidden_act": "relu"}, "hidden_act relu, not gelu"),
        ({"id2label": {"zero": "road"}}, "is not valid: invalid literal for int()"),
        ({"hidden_sizes": 7}, "is not valid"),
        ({"id2label": {"0": "road"}}, "head.classifier.weight [3, 256, 1, 1] instead of [1, 256, 1, 1]"),
        ({"decoder_hidden_size": 128}, "head.linear.0.weight [256, 32] instead of [128, 32]"),
        ({"depths": [3, 4, 6, 3], "hidden_sizes": [64, 128, 320, 512]}, "tensors of another shape"),
    ],
)
def test_configs_that_do_not_fit(folder, changes, what):
    edit(folder / "config.json", **changes)
    assert what in message(folder)


@pytest.mark.parametrize("content", ['{"image_mean": [0.5]}', '{"image_mean": "imagenet"}', '{"rescale_factor": "x"}'])
def test_image_processors_that_make_no_sense(folder, content):
    (folder / "preprocessor_config.json").write_text(content)
    assert "preprocessor_config.json" in message(folder)


def test_another_backbone_or_class_count_than_expected(folder):
    text = message(folder, backbone="mit_b1", num_classes=19)
    assert "has backbone mit_b0, not mit_b1 and num_classes 3, not 19: " in text


@pytest.mark.parametrize("network", [SegformerForImageClassification, SegformerModel])
@pytest.mark.parametrize("bare", [False, True])
def test_a_classifier_is_refused_with_an_offer(network, bare, reference, tmp_path):
    network(reference.config).save_pretrained(tmp_path)
    text = message(tmp_path / "model.safetensors" if bare else tmp_path)
    assert "and a segmenter is wanted" in text
    assert "student.weights=pretrained" in text
    assert f'num_classes=…, pretrained="{tmp_path}' in text
    assert bare or network is SegformerModel or 'create_segmenter("mit_b0", ' in text


def test_the_encoder_alone_fits_a_backbone(reference, folder, tmp_path):
    SegformerModel.from_pretrained(folder).save_pretrained(tmp_path / "encoder")
    encoder = encoder_from_transformers(load_file(tmp_path / "encoder" / "model.safetensors"))
    segmenter = Segmenter("mit_b0", norm_eps=1e-5).eval()
    segmenter.backbone.load_state_dict(encoder)
    expected = load_segmenter(folder)
    assert encoder.keys() == expected.backbone.state_dict().keys()
    assert all(torch.equal(encoder[name], tensor) for name, tensor in expected.backbone.state_dict().items())


def test_a_folder_without_weights(folder):
    (folder / "model.safetensors").unlink()
    assert "has a config.json but no weights for PyTorch: none of model.safetensors, " in message(folder)
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    assert "is a Git LFS pointer, which stands for the file" in message(folder)


def test_a_bare_file_tells_its_architecture(folder, tmp_path):
    bare = tmp_path / "bare" / "teacher.safetensors"
    bare.parent.mkdir()
    save_file(load_file(folder / "model.safetensors"), bare)
    loaded, expected = load_segmenter(bare), load_segmenter(folder)
    assert same(loaded, expected)
    assert loaded.config == expected.config | {"class_names": None}


class Hub:
    """A hub with the files of one folder as one repository."""

    def __init__(self, folder: Path, missing_network: bool = False) -> None:
        self.folder, self.missing_network, self.asked = folder, missing_network, []

    def __call__(self, repo_id: str, filename: str) -> Path:
        self.asked.append(filename)
        assert repo_id == "nvidia/segformer-b0-of-a-test"
        if self.missing_network:
            raise WeightsError(f"cannot get {filename} of the Hugging Face repository {repo_id}: no network")
        if not (self.folder / filename).is_file():
            raise HubFileMissingError(f"no {filename}")
        return self.folder / filename


@pytest.mark.parametrize("layout", ["safetensors", "shards", "pickle"])
def test_a_hub_id(reference, folder, layout, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    reference.save_pretrained(repository, max_shard_size="4MB" if layout == "shards" else "1GB")
    if layout == "pickle":
        torch.save(load_file(repository / "model.safetensors"), repository / "pytorch_model.bin")
        (repository / "model.safetensors").unlink()
    hub = Hub(repository)
    monkeypatch.setattr(places, "hub_file", hub)
    loaded = load_segmenter("nvidia/segformer-b0-of-a-test", num_classes=3)
    assert same(loaded, load_segmenter(folder))
    assert loaded.class_names == ("road", "sky", "car")
    assert hub.asked[:2] == ["config.json", "preprocessor_config.json"]


def test_our_own_hub_id(reference, tmp_path, monkeypatch):
    expected = Segmenter("mit_b0", 4, mean=(0.1, 0.2, 0.3))
    expected.save_pretrained(tmp_path)
    monkeypatch.setattr(places, "hub_file", Hub(tmp_path))
    loaded = load_segmenter("nvidia/segformer-b0-of-a-test")
    assert loaded.config == expected.config
    assert same(loaded, expected)


def test_a_hub_that_cannot_be_reached_or_holds_no_segmenter(tmp_path, monkeypatch):
    source = "nvidia/segformer-b0-of-a-test"
    monkeypatch.setattr(places, "hub_file", Hub(tmp_path, missing_network=True))
    assert "no such path, and cannot get config.json of the Hugging Face repository" in message(source)
    monkeypatch.setattr(places, "hub_file", Hub(tmp_path))
    assert "has no config.json, so nothing that can be loaded by its id" in message(source)


def test_all_sizes_are_told_apart_by_their_shapes():
    from transkd.models import available_backbones
    from transkd.models.formats.recognise import infer_config
    from transkd.models.weights import state_shapes

    known = [name for name in available_backbones() if name.startswith(("mit_b", "pvt_v2_b", "lvt"))]
    assert set(SIZES) < set(known)
    for name in known:
        for head in ("segformer", "semantic_fpn") if name.endswith(("b0", "b5", "lvt")) else ("segformer",):
            with torch.device("meta"):
                segmenter = Segmenter(name, 7, head=head, head_width=96)
            same_network = {"pvt_v2_b5": "mit_b5", "mit_b5": "pvt_v2_b5"}
            inferred = infer_config(state_shapes(segmenter))
            assert inferred is not None
            backbone = inferred.pop("backbone")
            assert backbone in (name, same_network.get(name))
            assert inferred == {"num_classes": 7, "head": head, "head_width": 96}
