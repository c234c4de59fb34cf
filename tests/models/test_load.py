"""Segmenters by what a user names: our folders, runs and checkpoints, NVlabs' and TransKD's files, and mistakes."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import ModelCard
from released_names import message, names_of, nvlabs_state, same
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from transkd.errors import ConfigError, WeightsError
from transkd.evaluation.comparison import module_digest
from transkd.models import Segmenter, create_segmenter, hub, load_segmenter, segmenter


@pytest.fixture(scope="module")
def network() -> Segmenter:
    torch.manual_seed(0)
    named = {"class_names": ["a", "b", "c"], "palette": [(0, 0, 0), (9, 9, 9), [0, 255, 0]]}
    model = create_segmenter("mit_b0", num_classes=3, std=(0.5, 0.5, 0.5), **named)
    for tensor in model.state_dict().values():
        if tensor.ndim == 1:
            tensor.add_(0.1 * torch.rand_like(tensor))
    return model.eval()


@pytest.fixture
def saved(network, tmp_path) -> Path:
    network.save_pretrained(tmp_path / "run" / "student")
    return tmp_path / "run" / "student"


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
    assert (loaded.class_names, loaded.palette) == (("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (0, 255, 0)))
    assert same(loaded, network)
    plain = Segmenter(**network.config | {"palette": None})
    plain.load_state_dict(network.state_dict())
    assert module_digest(plain) == module_digest(loaded)


def test_the_folder_is_what_the_hub_expects_and_is_replaced(network, saved):
    assert {path.name for path in saved.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert json.loads((saved / "config.json").read_text()) == network.config
    card = ModelCard.load(saved / "README.md").data
    assert (card.library_name, card.pipeline_tag) == ("transkd", "image-segmentation")
    with safe_open(saved / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(network.state_dict())
    other = create_segmenter("mit_b0", num_classes=5)
    other.save_pretrained(saved)
    assert same(load_segmenter(saved), other)


def test_weights_are_saved_under_their_own_names(network, tmp_path):
    model = copy.deepcopy(network).to(memory_format=torch.channels_last)
    model.backbone = torch.compile(model.backbone, backend="eager")
    model.save_pretrained(tmp_path)
    assert same(load_segmenter(tmp_path), network)


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


def test_a_file_of_ours_is_described_in_it_beside_it_or_by_its_shapes(network, saved, tmp_path):
    (saved / "model.safetensors").rename(tmp_path / "alone.safetensors")
    loaded = load_segmenter(tmp_path / "alone.safetensors")
    assert loaded.config == network.config
    assert same(loaded, network)
    expected = create_segmenter("pvt_v2_b0", 3, mean=(0.1, 0.2, 0.3))
    torch.save({"model": {f"module.{name}": t for name, t in expected.state_dict().items()}}, tmp_path / "w.pt")
    loaded = load_segmenter(tmp_path / "w.pt")
    assert same(loaded, expected)
    assert loaded.config == create_segmenter("pvt_v2_b0", 3).config
    (tmp_path / "config.json").write_text(json.dumps(expected.config))
    assert load_segmenter(tmp_path / "w.pt").config == expected.config
    (tmp_path / "config.json").unlink()
    custom = {"backbone.x": torch.zeros(1), "head.classifier.weight": torch.zeros(3, 4, 1, 1)}
    save_file(custom, tmp_path / "custom.safetensors")
    assert "whose architecture its tensors alone do not tell" in message(tmp_path / "custom.safetensors")


# Runs and their checkpoints.


def test_a_run_folder_holds_what_the_run_trained(network, saved):
    assert same(load_segmenter(str(saved.parent), backbone="mit_b0", num_classes=3), network)
    network.save_pretrained(saved.parent / "model")
    assert f"holds several segmenters: choose one of {saved}, {saved.parent / 'model'}" in message(saved.parent)


def test_our_training_checkpoint(network, tmp_path):
    path = tmp_path / "unfinished" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    state = {f"segmenter.{name}": tensor for name, tensor in network.state_dict().items()}
    state["losses.csf.adapter.weight"] = torch.zeros(2)
    checkpoint = {"epoch": 1, "state_dict": state, "callbacks": {"A": {"best": 1}}, "segmenter": network.config}
    torch.save(checkpoint, path)
    loaded = load_segmenter(path, num_classes=3)
    assert loaded.config == network.config
    assert same(loaded, network)
    assert same(load_segmenter(path.parent), network)
    text = message(path.parent.parent)
    assert f"has not finished and saved no segmenter yet; choose one of its checkpoints: {path}" in text
    torch.save(checkpoint | {"segmenter": None}, path.with_name("last.ckpt"))
    assert "holds several files of weights and no config.json" in message(path.parent)
    assert "does not say what segmenter it is of" in message(path.with_name("last.ckpt"))
    average = create_segmenter("mit_b0", 3)
    averaged = AveragedModel(average, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    checkpoint["callbacks"]["StudentEMA{'decay': 0.9}"] = {"average": dict(averaged.state_dict())}
    torch.save(checkpoint, path)
    assert same(load_segmenter(path), average)


# NVlabs and the release.


@pytest.mark.parametrize("classes", [("road", "sky", "car"), ["only", "two"], None])
def test_nvlabs(network, classes, tmp_path):
    meta = {"mmseg_version": "0.11.0", "config": "model = dict()", "PALETTE": [[0, 0, 0]]}
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters()).state_dict()
    content = {"meta": meta | ({"CLASSES": classes} if classes else {}), "optimizer": optimizer}
    state = nvlabs_state(network)
    torch.save(content | {"state_dict": state}, tmp_path / "segformer.b0.pth")
    loaded = load_segmenter(tmp_path, backbone="mit_b0", num_classes=3)
    assert same(loaded, network)
    names = ["road", "sky", "car"] if classes and len(classes) == 3 else None
    assert loaded.config == create_segmenter("mit_b0", 3, class_names=names).config
    del state["backbone.norm4.weight"]
    state["backbone.extra"] = torch.zeros(1)
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    text = message(tmp_path / "w.pth")
    assert "w.pth does not fit the mit_b0 segmenter of its own names and shapes: " in text
    assert "1 tensors missing: backbone.stages.3.norm.weight; 1 tensors unexpected: backbone.extra" in text


@pytest.mark.parametrize("student", ["", "student."])
def test_a_release_of_transkd(student, tmp_path):
    expected = create_segmenter("mit_b0", num_classes=20)
    state = {f"module.{student}{names_of('mit').published(name)}": t for name, t in expected.state_dict().items()}
    if student:
        state["module.embed1_linearproject.weight"] = torch.zeros(64, 32)
    torch.save({"epoch": 3, "state_dict": state, "best_acc": 0.5}, tmp_path / "model_best.pth")
    loaded = load_segmenter(tmp_path / "model_best.pth", num_classes=20)
    assert same(loaded, expected)
    assert (loaded.config["mean"], loaded.config["std"]) == ([0.0] * 3, [1.0] * 3)


# What is no segmenter.


def test_missing_paths_say_how_to_get_weights_and_are_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "hub_file", lambda *_, **__: pytest.fail("the hub was asked"))
    for source in ("no/such/run", "weights/teacher.pth", "teacher"):
        text = message(source)
        assert f"there are no weights at {source}: no such path" in text
        assert "transkd-train +experiment=..._teacher" in text
    (tmp_path / "runs/camvid_teacher-s0").mkdir(parents=True)
    text = message("runs/camvid_teachers0")
    assert "the folder runs has no camvid_teachers0; did you mean 'camvid_teacher-s0'?" in text
    for source, reason in ((None, "not from a NoneType"), ("x" * 5000, "cannot be read: File name too long")):
        with pytest.raises(WeightsError, match=reason):
            load_segmenter(source)


def test_folders_without_a_segmenter(saved, tmp_path):
    text = message(tmp_path)
    assert "neither it nor its student/ or model/ has config.json and model.safetensors" in text
    (saved / "model.safetensors").unlink()
    assert f"{saved} holds no weights for PyTorch: none of model.safetensors, " in message(saved)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (b"{", "config.json is not valid JSON"),
        (b"\xff\xfe\xff", "config.json is not valid JSON"),
        (b"[]", "config.json is not the config of a transkd segmenter, which has the keys backbone, class_names"),
        (b'{"backbone": "mit_b0", "num_classes": 3, "speed": 9}', "is not the config of a transkd segmenter"),
        (b'{"model_type": "bert", "hidden_size": 3}', "of a model of transformers called bert"),
        (b'{"model_type": "segformer"}', "it seems to be a segmenter of transkd"),
        (b'{"backbone": "mit_b9", "num_classes": 3}', "of this version: there is no backbone 'mit_b9'; did you mean"),
        (b'{"backbone": "mit_b0", "num_classes": "3"}', "of this version: num_classes: give a whole number"),
        (b'{"backbone": "mit_b0", "num_classes": 3, "mean": null}', "'NoneType' object is not iterable"),
    ],
)
def test_a_config_that_is_damaged_or_of_something_else(saved, config, what):
    (saved / "config.json").write_bytes(config)
    assert what in message(saved)


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


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (lambda t: t.fill_(float("nan")), "1 tensors hold NaN or infinite values: head.fuse.weight"),
        (lambda t: t.to(torch.int8), "1 tensors are not floating point, as quantised weights: head.fuse.weight"),
        (lambda t: t.half(), None),
    ],
)
def test_weights_that_are_no_numbers_are_refused_and_half_ones_load(network, saved, value, what):
    rewrite(saved, lambda tensors: tensors.update({"head.fuse.weight": value(tensors["head.fuse.weight"])}))
    if what is not None:
        assert what in message(saved)
        return
    fused = load_segmenter(saved).head.fuse.weight
    assert fused.dtype == torch.float32
    torch.testing.assert_close(fused, network.head.fuse.weight, rtol=1e-3, atol=1e-4)


def of_timm(name: str) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        state = timm.create_model(name).state_dict()
    return {name: torch.empty(tensor.shape, dtype=torch.uint8) for name, tensor in state.items()}


def of_nvlabs_encoder() -> dict[str, torch.Tensor]:
    state = nvlabs_state(create_segmenter("mit_b0", 3))
    return {n.removeprefix("backbone."): t for n, t in state.items() if "backbone" in n} | {
        "head.weight": torch.zeros(1000, 256)
    }


@pytest.mark.parametrize(
    ("state", "what"),
    [
        (lambda: of_timm("resnet18"), "a classifier of 1000 classes, with no decode head"),
        (lambda: of_timm("pvt_v2_b0"), "a classifier (MiT or PVTv2 under timm's names) of 1000 classes"),
        (of_nvlabs_encoder, "a classifier (MiT or PVTv2 under their authors' names) of 1000 classes, with no deco"),
        (lambda: nn.Linear(2, 2).state_dict(), "another network, with the tensors weight, bias"),
        (
            lambda: {
                "backbone.layers.0.0.weight": torch.zeros(1),
                "decode_head.fusion_conv.conv.weight": torch.ones(1),
            },
            "a SegFormer of mmsegmentation 1.x, whose head has a batch norm and a ReLU in each stage",
        ),
    ],
)
def test_what_is_no_segmenter_is_named(state, what, tmp_path):
    torch.save(state(), tmp_path / "w.pth")
    text = message(tmp_path / "w.pth")
    assert f"it seems to be {what}" in text
    assert ("student.weights=pretrained" in text) == (f'pretrained="{tmp_path}/w.pth"' in text) == ("classif" in what)


def test_another_segmenter_than_expected(saved):
    assert "has num_classes 3, not 19" in message(saved, num_classes=19)
    with pytest.raises(WeightsError, match="has backbone mit_b0, not mit_b2 and num_classes 3, not 19"):
        load_segmenter(saved.parent, backbone="mit_b2", num_classes=19)
    with pytest.raises(ConfigError, match="there is no backbone 'mit_b9'"):
        load_segmenter(saved, backbone="mit_b9")
