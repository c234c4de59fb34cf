"""Files of weights as NVlabs, TransKD and our own runs leave them, and what is no segmenter's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from transkd.errors import WeightsError
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.weights import read_state


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    model = create_segmenter("mit_b0", num_classes=3)
    for tensor in model.state_dict().values():
        if tensor.ndim == 1:
            tensor.add_(0.1 * torch.rand_like(tensor))
    return model.eval()


def same(loaded: Segmenter, expected: Segmenter) -> bool:
    state = loaded.state_dict()
    return all(torch.equal(state[name], tensor) for name, tensor in expected.state_dict().items())


def message(source, **expected) -> str:
    with pytest.raises(WeightsError) as caught:
        load_segmenter(source, **expected)
    text = str(caught.value)
    assert "\n" not in text
    assert str(source) in text
    return text


def released_names(ours, prefix: str = "") -> dict[str, str]:
    """Our names of a MiT segmenter -> those that NVlabs and, after it, TransKD's release give its tensors."""
    return {name: prefix + _released_name(name) for name in ours}


def _released_name(ours: str) -> str:
    name = ours.replace("dwconv.", "dwconv.dwconv.").replace("backbone.patch_embed.", "patch_embed1.")
    for old, new in (
        (r"backbone\.stages\.(\d)\.downsample", "patch_embed{}"),
        (r"backbone\.stages\.(\d)\.blocks", "block{}"),
        (r"backbone\.stages\.(\d)\.norm", "norm{}"),
        (r"head\.linear\.(\d)", "linear_c{}.proj"),
    ):
        name = re.sub(old, lambda match, new=new: new.format(int(match[1]) + 1), name)
    for old, new in (("fuse", "linear_fuse.conv"), ("norm", "linear_fuse.bn"), ("classifier", "linear_pred")):
        name = name.replace(f"head.{old}.", f"{new}.")
    return name


def nvlabs_state(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    """The tensors by NVlabs' names: those of TransKD's release, in mmsegmentation's two parts."""
    state, published = segmenter.state_dict(), {}
    for ours, released in released_names(state).items():
        part = "decode_head." if released.startswith("linear_") else "backbone."
        published[part + released] = state[ours]
    published["decode_head.conv_seg.weight"] = torch.zeros(3, 128, 1, 1)
    published["decode_head.conv_seg.bias"] = torch.zeros(3)
    return published


@pytest.mark.parametrize("classes", [("road", "sky", "car"), ["only", "two"], None])
def test_nvlabs(segmenter, classes, tmp_path):
    meta = {"mmseg_version": "0.11.0", "config": "model = dict()", "PALETTE": [[0, 0, 0]]}
    optimizer = torch.optim.AdamW(nn.Linear(2, 2).parameters()).state_dict()
    content = {"meta": meta | ({"CLASSES": classes} if classes else {}), "optimizer": optimizer}
    content["state_dict"] = nvlabs_state(segmenter)
    torch.save(content, tmp_path / "segformer.b0.pth")
    loaded = load_segmenter(tmp_path / "segformer.b0.pth", backbone="mit_b0", num_classes=3)
    assert same(loaded, segmenter)
    assert not loaded.training
    names = ("road", "sky", "car") if classes and len(classes) == 3 else None
    assert loaded.class_names == names
    assert loaded.config == segmenter.config | {"class_names": None if names is None else list(names)}
    # A folder that holds nothing else gives the same.
    assert same(load_segmenter(tmp_path), segmenter)


def test_an_nvlabs_file_that_does_not_fit(segmenter, tmp_path):
    state = nvlabs_state(segmenter)
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
    state = expected.state_dict()
    released = {prefix + name: state[ours] for ours, name in released_names(state, student).items()}
    if student:
        released[f"{prefix}embed1_linearproject.weight"] = torch.zeros(64, 32)
    torch.save(released, tmp_path / "model_best.pth")
    loaded = load_segmenter(tmp_path / "model_best.pth", num_classes=20)
    assert same(loaded, expected)
    assert loaded.config["mean"] == [0.0] * 3
    assert loaded.config["std"] == [1.0] * 3
    torch.save({"epoch": 3, "state_dict": released, "best_acc": 0.5}, tmp_path / "model_best.pth")
    assert same(load_segmenter(tmp_path / "model_best.pth"), expected)


def training_checkpoint(segmenter: Segmenter, average: Segmenter | None = None) -> dict:
    state = {f"segmenter.{name}": tensor for name, tensor in segmenter.state_dict().items()}
    state["losses.csf.adapter.weight"] = torch.zeros(2)
    callbacks = {"RunCheckpoints": {"best_score": 0.5, "best_epoch": 1}}
    if average is not None:
        averaged = AveragedModel(average, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
        callbacks["StudentEMA{'decay': 0.9}"] = {"average": dict(averaged.state_dict())}
    return {"epoch": 1, "state_dict": state, "callbacks": callbacks, "pytorch-lightning_version": "2.6.6"}


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    return path


def test_our_training_checkpoint(checkpoint):
    segmenter = create_segmenter("mit_b0", 3, class_names=["a", "b", "c"], mean=(0.1, 0.2, 0.3))
    torch.save(training_checkpoint(segmenter) | {"segmenter": segmenter.config}, checkpoint)
    loaded = load_segmenter(checkpoint, num_classes=3)
    assert loaded.config == segmenter.config
    assert same(loaded, segmenter)
    assert "has num_classes 3, not 19" in message(checkpoint, num_classes=19)


def test_the_average_is_taken_where_the_run_averaged(segmenter, checkpoint):
    average = create_segmenter("mit_b0", 3)
    torch.save(training_checkpoint(segmenter, average) | {"segmenter": segmenter.config}, checkpoint)
    assert same(load_segmenter(checkpoint), average)


def test_a_checkpoint_that_does_not_say_its_segmenter(segmenter, checkpoint):
    torch.save(training_checkpoint(segmenter), checkpoint)
    run_config = checkpoint.parent.parent / "config.yaml"
    assert f"its run's config.yaml, which would, is not at {run_config}" in message(checkpoint)
    run_config.write_text("student:\n  backbone: mit_b0\n  head: null\n  weights: scratch\n")
    assert same(load_segmenter(checkpoint), segmenter)
    run_config.write_text("student:\n  backbone: mit_b2\n  weights: scratch\n")
    assert same(load_segmenter(checkpoint), segmenter)  # the tensors know better
    run_config.write_text("student:\n  backbone: mit_b0\n  weights: nvidia/some-segformer\n")
    with pytest.raises(WeightsError, match="the normalisation of a run that started from nvidia/some-segformer"):
        load_segmenter(checkpoint)


def test_a_run_that_has_not_finished_names_its_checkpoints(segmenter, checkpoint):
    torch.save(training_checkpoint(segmenter) | {"segmenter": segmenter.config}, checkpoint)
    text = message(checkpoint.parent.parent)
    assert "is a run that has not finished and saved no segmenter yet" in text
    assert str(checkpoint) in text
    assert same(load_segmenter(checkpoint.parent), segmenter)
    torch.save(training_checkpoint(segmenter), checkpoint.with_name("last.ckpt"))
    assert "holds several files of weights and no config.json" in message(checkpoint.parent)


def test_a_run_with_several_segmenters_asks_which(segmenter, tmp_path):
    for name in ("student", "model"):
        segmenter.save_pretrained(tmp_path / name)
    assert f"holds several segmenters: choose one of {tmp_path / 'student'}, {tmp_path / 'model'}" in message(tmp_path)


def test_a_safetensors_file_of_ours_says_what_it_is(tmp_path):
    expected = create_segmenter("mit_b0", 3, class_names=["a", "b", "c"], norm_eps=1e-5, std=(0.5, 0.5, 0.5))
    expected.save_pretrained(tmp_path)
    alone = tmp_path / "alone.safetensors"
    (tmp_path / "model.safetensors").rename(alone)
    (tmp_path / "config.json").rename(tmp_path / "elsewhere.json")
    loaded = load_segmenter(alone)
    assert loaded.config == expected.config
    assert same(loaded, expected)


def test_a_bare_state_dict_of_ours_is_inferred_or_described_beside_it(tmp_path):
    expected = create_segmenter("pvt_v2_b0", 3, mean=(0.1, 0.2, 0.3))
    torch.save({"model": {f"module.{name}": t for name, t in expected.state_dict().items()}}, tmp_path / "w.pt")
    loaded = load_segmenter(tmp_path / "w.pt")
    assert same(loaded, expected)
    assert loaded.config == create_segmenter("pvt_v2_b0", 3).config
    (tmp_path / "config.json").write_text(json.dumps(expected.config))
    assert load_segmenter(tmp_path / "w.pt").config == expected.config


def test_tensors_that_do_not_tell_their_architecture_say_so(tmp_path):
    save_file(
        {"backbone.x": torch.zeros(1), "head.classifier.weight": torch.zeros(3, 4, 1, 1)}, tmp_path / "w.safetensors"
    )
    assert "whose architecture its tensors alone do not tell: put its config.json beside it" in message(
        tmp_path / "w.safetensors"
    )


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (lambda: torchvision.models.resnet50(), "a classifier (resnet50) of 1000 classes"),
        (lambda: torchvision.models.vgg11(), "a classifier (VGG or AlexNet) of 1000 classes"),
        (lambda: timm.create_model("resnet18", num_classes=10), "a classifier (resnet18) of 10 classes"),
        (lambda: timm.create_model("pvt_v2_b0"), "a classifier (MiT or PVTv2) of 1000 classes"),
        (lambda: timm.create_model("swin_tiny_patch4_window7_224"), "a classifier (Swin Transformer) of 1000 classes"),
        (lambda: timm.create_model("swinv2_tiny_window8_256"), "a classifier (Swin Transformer) of 1000 classes"),
        (lambda: torchvision.models.swin_t(), "a classifier (Swin Transformer) of 1000 classes"),
        (lambda: timm.create_model("convnext_tiny"), "a classifier (ConvNeXt) of 1000 classes"),
        (lambda: timm.create_model("twins_pcpvt_small"), "a classifier (Twins) of 1000 classes"),
        (
            lambda: timm.create_model("vit_tiny_patch16_224"),
            "a classifier (a plain Vision Transformer) of 1000 classes",
        ),
        (
            lambda: torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None),
            "a torchvision or detectron segmenter on a ResNet",
        ),
        (lambda: nn.Linear(2, 2), "another network (its tensors are called weight, bias)"),
    ],
)
def test_what_is_no_segmenter_is_named(network, what, tmp_path):
    with torch.device("meta"):
        state = network().state_dict()
    torch.save({name: torch.empty(t.shape, dtype=torch.uint8) for name, t in state.items()}, tmp_path / "w.pth")
    text = message(tmp_path / "w.pth")
    assert what in text
    assert ("student.weights=pretrained" in text) == ("classifier" in what)


def test_an_imagenet_encoder_of_nvlabs_is_a_classifier(segmenter, tmp_path):
    state = {name.removeprefix("backbone."): t for name, t in nvlabs_state(segmenter).items() if "backbone" in name}
    state |= {"head.weight": torch.zeros(1000, 256), "head.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "mit_b0.pth")
    text = message(tmp_path / "mit_b0.pth")
    assert "is a classifier (MiT or PVTv2 in the layout of its authors) of 1000 classes, with no decode head" in text
    assert f'pretrained="{tmp_path}/mit_b0.pth"' in text


def test_mmsegmentations_own_segformer_is_refused_with_the_reason(tmp_path):
    names = [
        "backbone.layers.0.0.projection.weight",
        "decode_head.convs.0.conv.weight",
        "decode_head.convs.0.bn.weight",
    ]
    state = {name: torch.zeros(1) for name in [*names, "decode_head.fusion_conv.conv.weight"]}
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "w.pth")
    assert "whose head has a batch norm and a ReLU in each stage" in message(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([1, 2], "holds a list, not a state dict"),
        ({}, "holds no state dict; its keys are none"),
        ({"lr": 0.1, "epoch": 3}, "holds no state dict; its keys are lr, epoch"),
        (
            {"generator": {"a": torch.zeros(1)}, "critic": {"a": torch.zeros(1)}},
            "several state dicts (generator, critic)",
        ),
        (torch.zeros(3), "holds a Tensor, not a state dict"),
    ],
)
def test_files_without_one_state_dict(content, what, tmp_path):
    torch.save(content, tmp_path / "w.pth")
    assert what in message(tmp_path / "w.pth")


def test_exported_models_are_named(segmenter, tmp_path):
    program = torch.export.export(nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "student.pt2")
    assert "is a torch.export program, an exported model" in message(tmp_path / "student.pt2")
    assert "transkd.load_model" in message(tmp_path / "student.pt2")
    onnx = b"\x08\x0a\x12\x07pytorch\x1a\x062.15.0:\xc6\x0c"
    (tmp_path / "student.onnx").write_bytes(onnx + bytes(100))
    assert "is an ONNX file, an exported model" in message(tmp_path / "student.onnx")
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "student.pt")
    assert "is a TorchScript program" in message(tmp_path / "student.pt")


def test_content_tells_and_not_the_name(segmenter, tmp_path):
    segmenter.save_pretrained(tmp_path / "saved")
    disguised = tmp_path / "picture.png"
    disguised.write_bytes((tmp_path / "saved" / "model.safetensors").read_bytes())
    assert same(load_segmenter(disguised), segmenter)
    torch.save(segmenter.state_dict(), tmp_path / "w.safetensors")
    assert same(load_segmenter(tmp_path / "w.safetensors"), segmenter)


def test_a_config_given_as_the_file(segmenter, tmp_path):
    segmenter.save_pretrained(tmp_path)
    assert "is a JSON file, not weights; give the folder" in message(tmp_path / "config.json")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_prefixes_of_wrappers_are_left_out(prefix, tmp_path):
    torch.save({"net": {f"{prefix}a.weight": torch.ones(2)}, "epoch": 1}, tmp_path / "w.pth")
    assert list(read_state(tmp_path / "w.pth")) == ["a.weight"]
    save_file({f"{prefix}a.weight": torch.ones(2)}, tmp_path / "w.safetensors")
    assert list(read_state(tmp_path / "w.safetensors")) == ["a.weight"]
    assert list(load_file(tmp_path / "w.safetensors")) == [f"{prefix}a.weight"]
