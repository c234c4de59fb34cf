"""SegFormers go from transformers to us and back, and their logits stay the same; and what may be in their folders."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("transformers")
from released_names import message, same
from transformers import (
    SegformerConfig,
    SegformerForImageClassification,
    SegformerForSemanticSegmentation,
    SegformerImageProcessor,
    SegformerModel,
)
from transformers_names import published_state, reference_segformer

from transkd.errors import WeightsError
from transkd.models import Segmenter, create_segmenter, hub, load_segmenter
from transkd.models.formats.transformers import to_transformers

ODD_SIZES = [(64, 96), (33, 47)]
LABELS = {0: "road", 1: "sky", 2: "car"}
HUB_ID = "nvidia/segformer-b0-of-a-test"


def write_export(segmenter, folder, **options):
    config, processor, state = to_transformers(segmenter, **options)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def with_random_norms(segmenter):
    generator = torch.Generator().manual_seed(1)
    for tensor in segmenter.state_dict().values():
        if tensor.ndim == 1:
            tensor.add_(0.2 * torch.rand(tensor.shape, generator=generator))
    return segmenter.eval()


@pytest.mark.parametrize(
    "backbone", ["mit_b0", "mit_b2", *(pytest.param(f"mit_b{size}", marks=pytest.mark.slow) for size in (1, 3, 4, 5))]
)
def test_a_segformer_of_transformers_comes_with_its_logits_and_goes_back_tensor_for_tensor(backbone, tmp_path):
    reference = reference_segformer(backbone, num_classes=19)
    published = published_state(reference, tmp_path)
    segmenter = load_segmenter(tmp_path)
    assert segmenter.config["backbone"] == backbone
    for size in ODD_SIZES:
        images = torch.rand(1, 3, *size)
        with torch.no_grad():
            expected = reference(segmenter.normalise(images)).logits
            logits = segmenter(images)
        assert expected.std() > 0.05
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    config, _, state = to_transformers(segmenter)
    assert state.keys() == published.keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in published.items())
    written = json.loads((tmp_path / "config.json").read_text())
    assert {key for key in config if config[key] != written.get(key)} == {"layer_norm_eps"}


@pytest.mark.parametrize(("backbone", "norm_eps"), [("mit_b0", None), ("mit_b0", 1e-2), ("mit_b1", 1e-5)])
def test_transformers_gives_the_logits_of_an_exported_segmenter(backbone, norm_eps, tmp_path):
    """Also where the layer norms have another epsilon than transformers', which no config of it can say."""
    torch.manual_seed(0)
    options = {"norm_eps": norm_eps, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    segmenter = with_random_norms(create_segmenter(backbone, num_classes=5, **options))
    write_export(segmenter, tmp_path)
    model, report = SegformerForSemanticSegmentation.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    processor = SegformerImageProcessor.from_pretrained(tmp_path)
    for size in ODD_SIZES:
        image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
        values = processor(images=image, return_tensors="pt")["pixel_values"]
        assert values.shape[2:] == size
        with torch.no_grad():
            expected = segmenter(image[None])
            logits = model.eval()(values).logits
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4)
    again = load_segmenter(tmp_path)
    assert again.config == segmenter.config | {"norm_eps": 1e-5}
    with torch.no_grad():
        torch.testing.assert_close(again(image[None]), expected, rtol=0, atol=1e-4)
        if norm_eps == 1e-2:  # without the scaling of the export, the comparison above would fail
            again.load_state_dict(segmenter.state_dict())
            assert (again(image[None]) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("names", [["road", "sky", "car"], None])
def test_class_names_and_numbers_come_along(names, tmp_path):
    segmenter = create_segmenter("mit_b0", num_classes=3, class_names=names, dropout=0.2, drop_path_rate=0.3).eval()
    write_export(segmenter, tmp_path, size=(64, 128))
    config = SegformerConfig.from_pretrained(tmp_path)
    assert config.id2label == dict(enumerate(names or ["LABEL_0", "LABEL_1", "LABEL_2"]))
    assert config.num_labels == 3
    assert config.classifier_dropout_prob == 0.2
    assert config.semantic_loss_ignore_index == 255
    assert load_segmenter(tmp_path).config == segmenter.config | {"norm_eps": 1e-5}
    processor, image = SegformerImageProcessor.from_pretrained(tmp_path), torch.zeros(3, 50, 50, dtype=torch.uint8)
    assert processor(images=image, return_tensors="pt")["pixel_values"].shape == (1, 3, 64, 128)


@pytest.fixture(scope="module")
def reference():
    return reference_segformer("mit_b0", 3, id2label=LABELS, label2id={v: k for k, v in LABELS.items()})


@pytest.fixture
def folder(reference, tmp_path) -> Path:
    reference.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_names_that_transformers_has_in_memory(reference, folder, prefix):
    published, in_memory = load_file(folder / "model.safetensors"), reference.state_dict()
    assert in_memory.keys() != published.keys() or version("transformers") < "5"
    expected = load_segmenter(folder)
    (folder / "config.json").unlink()
    for number, state in enumerate((published, in_memory)):
        path = folder / f"{number}.bin"
        torch.save({f"{prefix}{name}": tensor for name, tensor in state.items()}, path)
        loaded = load_segmenter(path)
        assert loaded.config == expected.config | {"class_names": None}
        assert same(loaded, expected)


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


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sr_ratios": [8, 4, 2, 2]}, "sr_ratios [8, 4, 2, 2], not [8, 4, 2, 1]"),
        ({"reshape_last_stage": False}, "reshape_last_stage False, not True"),
        ({"depths": [2, 2, 2, 3]}, "depths [2, 2, 2, 3], which no MiT-B0 to B5 has"),
        ({"hidden_sizes": [16, 32, 64, 128]}, "hidden_sizes [16, 32, 64, 128] with depths"),
        ({"id2label": {"zero": "road"}}, "is not valid: invalid literal for int()"),
        ({"hidden_sizes": 7}, "is not valid"),
        ({"id2label": {"0": "road"}}, "head.classifier.weight [3, 256, 1, 1] instead of [1, 256, 1, 1]"),
        ({"decoder_hidden_size": 128}, "head.linear.0.weight [256, 32] instead of [128, 32]"),
    ],
)
def test_configs_that_do_not_fit(folder, changes, what):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    assert what in message(folder)


@pytest.mark.parametrize("content", ['{"image_mean": [0.5]}', '{"image_mean": "imagenet"}', '{"rescale_factor": "x"}'])
def test_image_processors_that_make_no_sense(folder, content):
    (folder / "preprocessor_config.json").write_text(content)
    assert "config.json" in message(folder)


@pytest.mark.parametrize(
    ("network", "bare"), [(SegformerForImageClassification, False), (SegformerModel, False), (SegformerModel, True)]
)
def test_a_classifier_is_refused_with_an_offer(network, bare, reference, tmp_path):
    network(reference.config).save_pretrained(tmp_path)
    text = message(tmp_path / "model.safetensors" if bare else tmp_path)
    assert "holds no segmenter that can be loaded" in text
    assert "student.weights=pretrained" in text
    assert f'num_classes=…, pretrained="{tmp_path}' in text


class Hub:
    """A hub with the files of one folder as one repository."""

    def __init__(self, folder: Path, missing_network: bool = False) -> None:
        self.folder, self.missing_network, self.requested = folder, missing_network, []

    def __call__(self, repo_id: str, filename: str, revision: str | None = None) -> Path:
        self.requested.append(filename)
        assert repo_id == HUB_ID
        if self.missing_network:
            raise WeightsError(f"cannot get {filename} of the Hugging Face repository {repo_id}: no network")
        if not (self.folder / filename).is_file():
            raise hub.HubFileMissingError(f"no {filename}")
        return self.folder / filename


@pytest.mark.parametrize("files", ["safetensors", "shards", "pickle"])
def test_folders_and_hub_ids_with_files_of_any_kind(reference, folder, files, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    reference.save_pretrained(repository, max_shard_size="4MB" if files == "shards" else "1GB")
    if files == "pickle":
        torch.save(load_file(repository / "model.safetensors"), repository / "pytorch_model.bin")
        (repository / "model.safetensors").unlink()
        assert load_segmenter(repository / "pytorch_model.bin").class_names == ("road", "sky", "car")
    assert (len(list(repository.glob("*.safetensors"))) > 2) == (files == "shards")
    served = Hub(repository)
    monkeypatch.setattr(hub, "hub_file", served)
    loaded, expected = load_segmenter(HUB_ID, num_classes=3), load_segmenter(folder)
    assert same(loaded, expected)
    assert same(load_segmenter(repository), expected)
    assert loaded.class_names == ("road", "sky", "car")
    assert served.requested[:2] == ["config.json", "preprocessor_config.json"]


def test_a_hub_that_cannot_be_reached_or_holds_none_or_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "hub_file", Hub(tmp_path, missing_network=True))
    assert "no such path, and cannot get config.json of the Hugging Face repository" in message(HUB_ID)
    monkeypatch.setattr(hub, "hub_file", Hub(tmp_path))
    assert "has no config.json, so nothing that can be loaded by its id" in message(HUB_ID)
    ours = Segmenter("mit_b0", 4, mean=(0.1, 0.2, 0.3))
    ours.save_pretrained(tmp_path)
    assert load_segmenter(HUB_ID).config == ours.config
    assert same(load_segmenter(HUB_ID), ours)
