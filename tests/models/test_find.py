"""Segmenters by what a user names: our folders, runs and checkpoints, NVlabs' and TransKD's files, and mistakes."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from released_names import RELEASED_NAMES, nvlabs_state
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from transkd.errors import ConfigError, WeightsError
from transkd.evaluation.comparison import module_digest
from transkd.models import Segmenter, create_segmenter, load_segmenter, segmenter
from transkd.models.sources import hub


@pytest.fixture(scope="module")
def network() -> Segmenter:
    torch.manual_seed(0)
    model = create_segmenter("mit_b0", num_classes=3, class_names=["a", "b", "c"], std=(0.5, 0.5, 0.5))
    for tensor in model.state_dict().values():
        if tensor.ndim == 1:
            tensor.add_(0.1 * torch.rand_like(tensor))
    return model.eval()


@pytest.fixture
def saved(network, tmp_path) -> Path:
    network.save_pretrained(tmp_path / "run" / "student")
    return tmp_path / "run" / "student"


def same(loaded: Segmenter, expected: Segmenter) -> bool:
    state, wanted = loaded.state_dict(), expected.state_dict()
    return state.keys() == wanted.keys() and all(torch.equal(state[name], wanted[name]) for name in wanted)


def message(source: Path | str, **expected: object) -> str:
    with pytest.raises(WeightsError) as caught:
        load_segmenter(source, **expected)
    text = str(caught.value)
    assert "\n" not in text
    assert str(source) in text
    return text


def rewrite(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


# What save_pretrained writes.


@pytest.mark.parametrize("load", [load_segmenter, Segmenter.from_pretrained])
def test_round_trip_is_bitwise(network, saved, load):
    loaded = load(saved)
    assert not loaded.training
    assert loaded.config == network.config
    assert loaded.class_names == ("a", "b", "c")
    assert same(loaded, network)
    images = torch.randint(0, 256, (1, 3, 33, 65), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded(images), network(images))


def test_the_folder_is_what_the_hub_expects(network, saved):
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert json.loads((saved / "config.json").read_text()) == network.config
    card = ModelCard.load(saved / "README.md").data
    assert card.library_name == "transkd"
    assert card.pipeline_tag == "image-segmentation"
    with safe_open(saved / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(network.state_dict())


def test_saving_again_replaces_weights_and_config(saved):
    other = create_segmenter("mit_b0", num_classes=5)
    other.save_pretrained(saved)
    assert same(load_segmenter(saved), other)


@pytest.mark.parametrize("change", ["compiled", "channels_last"])
def test_weights_are_saved_under_their_own_names(network, change, tmp_path):
    model = copy.deepcopy(network)
    if change == "compiled":
        model.backbone = torch.compile(model.backbone, backend="eager")
    else:
        model.to(memory_format=torch.channels_last)
    model.save_pretrained(tmp_path)
    assert same(load_segmenter(tmp_path), network)


def test_colours_are_saved_and_are_no_part_of_what_predicts(network, tmp_path):
    coloured = Segmenter(**network.config | {"palette": [(40, 40, 40), (220, 40, 40), [0, 255, 0]]})
    coloured.load_state_dict(network.state_dict())
    coloured.save_pretrained(tmp_path)
    loaded = load_segmenter(tmp_path)
    assert loaded.palette == ((40, 40, 40), (220, 40, 40), (0, 255, 0))
    assert module_digest(loaded) == module_digest(network)
    before = json.loads((tmp_path / "config.json").read_text())
    del before["palette"]  # as those that were saved before there was one
    (tmp_path / "config.json").write_text(json.dumps(before))
    assert load_segmenter(tmp_path).palette is None


def test_from_pretrained_takes_a_hub_id_and_never_guesses_an_architecture(network, saved, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", lambda **call: str(saved / call["filename"]))
    monkeypatch.setattr(segmenter, "hub_file", lambda repo_id, filename, **options: saved / filename)
    assert same(Segmenter.from_pretrained("someone/scenes"), network)
    rewrite(saved, lambda tensors: tensors.pop("head.fuse.weight"))
    with pytest.raises(WeightsError, match=r"1 tensors missing: head\.fuse\.weight"):
        Segmenter.from_pretrained(saved)
    (saved / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"holds no config\.json of a transkd segmenter"):
        Segmenter.from_pretrained(saved)


def test_a_file_of_ours_says_what_it_is(network, saved, tmp_path):
    (saved / "model.safetensors").rename(tmp_path / "alone.safetensors")
    loaded = load_segmenter(tmp_path / "alone.safetensors")
    assert loaded.config == network.config
    assert same(loaded, network)


def test_a_bare_state_dict_of_ours_is_inferred_or_described_beside_it(tmp_path):
    expected = create_segmenter("pvt_v2_b0", 3, mean=(0.1, 0.2, 0.3))
    torch.save({"model": {f"module.{name}": t for name, t in expected.state_dict().items()}}, tmp_path / "w.pt")
    loaded = load_segmenter(tmp_path / "w.pt")
    assert same(loaded, expected)
    assert loaded.config == create_segmenter("pvt_v2_b0", 3).config
    (tmp_path / "config.json").write_text(json.dumps(expected.config))
    assert load_segmenter(tmp_path / "w.pt").config == expected.config
    custom = {"backbone.x": torch.zeros(1), "head.classifier.weight": torch.zeros(3, 4, 1, 1)}
    save_file(custom, tmp_path / "custom.safetensors")
    (tmp_path / "config.json").unlink()
    assert "whose architecture its tensors alone do not tell" in message(tmp_path / "custom.safetensors")


# Runs and their checkpoints.


def test_a_run_folder_holds_what_the_run_trained(network, saved):
    assert same(load_segmenter(str(saved.parent), backbone="mit_b0", num_classes=3), network)
    network.save_pretrained(saved.parent / "model")
    assert f"holds several segmenters: choose one of {saved}, {saved.parent / 'model'}" in message(saved.parent)


def training_checkpoint(trained: Segmenter, average: Segmenter | None = None) -> dict:
    state = {f"segmenter.{name}": tensor for name, tensor in trained.state_dict().items()}
    state["losses.csf.adapter.weight"] = torch.zeros(2)
    callbacks = {"RunCheckpoints": {"best_score": 0.5, "best_epoch": 1}}
    if average is not None:
        averaged = AveragedModel(average, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
        callbacks["StudentEMA{'decay': 0.9}"] = {"average": dict(averaged.state_dict())}
    return {"epoch": 1, "state_dict": state, "callbacks": callbacks, "segmenter": trained.config}


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "unfinished" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    return path


def test_our_training_checkpoint(network, checkpoint):
    torch.save(training_checkpoint(network), checkpoint)
    loaded = load_segmenter(checkpoint, num_classes=3)
    assert loaded.config == network.config
    assert same(loaded, network)
    assert "has num_classes 3, not 19" in message(checkpoint, num_classes=19)
    assert same(load_segmenter(checkpoint.parent), network)
    text = message(checkpoint.parent.parent)
    assert f"has not finished and saved no segmenter yet; choose one of its checkpoints: {checkpoint}" in text
    torch.save(training_checkpoint(network) | {"segmenter": None}, checkpoint.with_name("last.ckpt"))
    assert "holds several files of weights and no config.json" in message(checkpoint.parent)
    assert "does not say what segmenter it is of" in message(checkpoint.with_name("last.ckpt"))


def test_the_average_is_taken_where_the_run_averaged(network, checkpoint):
    average = create_segmenter("mit_b0", 3)
    torch.save(training_checkpoint(network, average), checkpoint)
    assert same(load_segmenter(checkpoint), average)


# NVlabs and the release.


@pytest.mark.parametrize("classes", [("road", "sky", "car"), ["only", "two"], None])
def test_nvlabs(network, classes, tmp_path):
    meta = {"mmseg_version": "0.11.0", "config": "model = dict()", "PALETTE": [[0, 0, 0]]}
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters()).state_dict()
    content = {"meta": meta | ({"CLASSES": classes} if classes else {}), "optimizer": optimizer}
    torch.save(content | {"state_dict": nvlabs_state(network)}, tmp_path / "segformer.b0.pth")
    loaded = load_segmenter(tmp_path, backbone="mit_b0", num_classes=3)
    assert same(loaded, network)
    names = ["road", "sky", "car"] if classes and len(classes) == 3 else None
    assert loaded.config == create_segmenter("mit_b0", 3, class_names=names).config


def test_an_nvlabs_file_that_does_not_fit(network, tmp_path):
    state = nvlabs_state(network)
    del state["backbone.norm4.weight"]
    state["backbone.extra"] = torch.zeros(1)
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    text = message(tmp_path / "w.pth")
    assert "w.pth does not fit the mit_b0 segmenter of its own names and shapes: " in text
    assert "1 tensors missing: backbone.stages.3.norm.weight; 1 tensors unexpected: backbone.extra" in text


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("student", ["", "student."])
def test_a_release_of_transkd(prefix, student, tmp_path):
    expected = create_segmenter("mit_b0", num_classes=20)
    names = RELEASED_NAMES["mit"]
    state = {f"{prefix}{student}{names.released(name)}": t for name, t in expected.state_dict().items()}
    if student:
        state[f"{prefix}embed1_linearproject.weight"] = torch.zeros(64, 32)
    torch.save({"epoch": 3, "state_dict": state, "best_acc": 0.5}, tmp_path / "model_best.pth")
    loaded = load_segmenter(tmp_path / "model_best.pth", num_classes=20)
    assert same(loaded, expected)
    assert (loaded.config["mean"], loaded.config["std"]) == ([0.0] * 3, [1.0] * 3)


# What is no segmenter.


@pytest.mark.parametrize("source", ["no/such/run", "./teacher", "weights/teacher.pth", "teacher"])
def test_missing_path_says_how_to_get_weights(source):
    text = message(source)
    assert f"there are no weights at {source}: no such path" in text
    assert "transkd-train +experiment=..._teacher" in text


def test_a_mistyped_run_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "hub_file", lambda *_, **__: pytest.fail("the hub was asked"))
    (tmp_path / "runs/camvid_teacher-s0").mkdir(parents=True)
    text = message("runs/camvid_teachers0")
    assert "the folder runs has no camvid_teachers0; did you mean 'camvid_teacher-s0'?" in text


def test_folders_without_a_segmenter(saved, tmp_path):
    text = message(tmp_path)
    assert "neither it nor its student/ or model/ has config.json and model.safetensors" in text
    assert "transkd-train" in text
    (saved / "model.safetensors").unlink()
    assert f"{saved} holds no weights for PyTorch: none of model.safetensors, " in message(saved)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\xff"])
def test_config_that_is_not_json(saved, content):
    (saved / "config.json").write_bytes(content)
    assert "config.json is not valid JSON" in message(saved)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ([], "config.json is not the config of a transkd segmenter, which has the keys backbone, class_names"),
        ({"backbone": "mit_b0", "num_classes": 3, "speed": 9}, "is not the config of a transkd segmenter"),
        ({"model_type": "bert", "hidden_size": 3}, "of a model of transformers called bert"),
        ({"model_type": "segformer"}, "it seems to be a segmenter of transkd"),
    ],
)
def test_config_of_something_else(saved, config, what):
    (saved / "config.json").write_text(json.dumps(config))
    assert what in message(saved)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("backbone", "mit_b9", "there is no backbone 'mit_b9'; did you mean"),
        ("num_classes", "3", "num_classes must be a whole number"),
        ("mean", None, "'NoneType' object is not iterable"),
    ],
)
def test_config_with_a_value_that_does_not_fit(saved, key, value, reason):
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, key: value}))
    text = message(saved)
    assert "config.json describes no segmenter of this version" in text
    assert reason in text


@pytest.mark.parametrize(
    ("keep", "what"), [(0, "is empty (0 bytes)"), (4, "is no file of weights"), (100_000, "(100000 bytes) is damaged")]
)
def test_truncated_weights(saved, keep, what):
    content = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(content[:keep])
    text = message(saved)
    assert what in text
    assert "copy or download it again" in text


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
    rewrite(saved, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".blocks." in name])
    named = re.search(r"missing: (.*?);", message(saved)).group(1).split(", ")
    assert len(named) == 4
    assert named[-1] == "..."


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (lambda t: t.fill_(float("nan")), "1 tensors hold NaN or infinite values: head.fuse.weight"),
        (lambda t: t.to(torch.int8), "1 tensors are not floating point, as quantised weights: head.fuse.weight"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(saved, value, what):
    rewrite(saved, lambda tensors: tensors.update({"head.fuse.weight": value(tensors["head.fuse.weight"])}))
    assert what in message(saved)


def test_half_precision_weights_load(network, saved):
    rewrite(saved, lambda tensors: tensors.update({n: t.half() for n, t in tensors.items() if t.is_floating_point()}))
    fused = load_segmenter(saved).head.fuse.weight
    assert fused.dtype == torch.float32
    torch.testing.assert_close(fused, network.head.fuse.weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("resnet18", "a classifier of 1000 classes, with no decode head"),
        ("pvt_v2_b0", "a classifier (MiT or PVTv2 under timm's names) of 1000 classes"),
        ("swin_tiny_patch4_window7_224", "a classifier of 1000 classes"),
        (None, "another network, with the tensors weight, bias"),
    ],
)
def test_what_is_no_segmenter_is_named(name, what, tmp_path):
    with torch.device("meta"):
        state = (nn.Linear(2, 2) if name is None else timm.create_model(name)).state_dict()
    torch.save({name: torch.empty(t.shape, dtype=torch.uint8) for name, t in state.items()}, tmp_path / "w.pth")
    text = message(tmp_path / "w.pth")
    assert f"it seems to be {what}" in text
    assert ("student.weights=pretrained" in text) == ("classifier" in what)


def test_an_imagenet_encoder_of_nvlabs_is_a_classifier(network, tmp_path):
    state = {name.removeprefix("backbone."): t for name, t in nvlabs_state(network).items() if "backbone" in name}
    torch.save(state | {"head.weight": torch.zeros(1000, 256), "head.bias": torch.zeros(1000)}, tmp_path / "mit_b0.pth")
    text = message(tmp_path / "mit_b0.pth")
    assert "seems to be a classifier (MiT or PVTv2 under their authors' names) of 1000 classes, with no deco" in text
    assert f'pretrained="{tmp_path}/mit_b0.pth"' in text


def test_mmsegmentations_own_segformer_is_refused_with_the_reason(tmp_path):
    names = ["backbone.layers.0.0.projection.weight", "decode_head.convs.0.bn.weight"]
    state = {name: torch.zeros(1) for name in [*names, "decode_head.fusion_conv.conv.weight"]}
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "w.pth")
    assert "whose head has a batch norm and a ReLU in each stage" in message(tmp_path / "w.pth")


def test_another_segmenter_than_expected(saved):
    assert "has num_classes 3, not 19" in message(saved, num_classes=19)
    with pytest.raises(WeightsError, match="has backbone mit_b0, not mit_b2 and num_classes 3, not 19"):
        load_segmenter(saved.parent, backbone="mit_b2", num_classes=19)
    with pytest.raises(ConfigError, match="there is no backbone 'mit_b9'"):
        load_segmenter(saved, backbone="mit_b9")
