"""Pretrained backbones: what is fetched from the hub, what a file fills, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from hub_server import HubServer, serving
from huggingface_hub import constants
from safetensors.torch import save, save_file

from transkd.errors import ConfigError, WeightsError
from transkd.models import create_segmenter
from transkd.models.create import load_pretrained

IMAGES = torch.rand(1, 3, 64, 96)
CONVNEXT = "convnext_atto.d2_in1k"


def with_random_vectors(network: torch.nn.Module) -> torch.nn.Module:
    """No norm and no bias stays as every fresh network has it."""
    for tensor in network.state_dict().values():
        if tensor.ndim == 1:
            tensor.add_(0.2 * torch.rand(tensor.shape))
    return network.eval()


@pytest.fixture(scope="module")
def convnext() -> torch.nn.Module:
    torch.manual_seed(5)
    return with_random_vectors(timm.create_model("convnext_atto"))


@pytest.fixture(scope="module")
def pvt() -> torch.nn.Module:
    torch.manual_seed(6)
    return with_random_vectors(timm.create_model("pvt_v2_b0"))


@pytest.fixture(scope="module")
def mit_classifier() -> torch.nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(7)
    return with_random_vectors(transformers.SegformerForImageClassification(transformers.SegformerConfig()))


@pytest.fixture(scope="module")
def mit_folder(mit_classifier, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mit-b0")
    mit_classifier.save_pretrained(folder)
    return folder


@pytest.fixture
def hub(convnext, pvt, mit_folder, tmp_path, monkeypatch) -> Iterator[HubServer]:
    pickled = tmp_path / "pytorch_model.bin"
    torch.save(pvt.state_dict(), pickled)
    files = {
        f"timm/{CONVNEXT}/model.safetensors": save(convnext.state_dict()),
        "timm/pvt_v2_b0.in1k/pytorch_model.bin": pickled.read_bytes(),
        "nvidia/mit-b0/model.safetensors": (mit_folder / "model.safetensors").read_bytes(),
    }
    with serving(files) as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server


def features_of(segmenter) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        return segmenter.eval().taps(IMAGES).features


def test_a_timm_network_gets_timms_file_with_its_features(hub, convnext):
    segmenter = create_segmenter("convnext_atto", 3, pretrained=True)
    with torch.no_grad():
        expected = convnext.forward_intermediates(segmenter.normalise(IMAGES), intermediates_only=True)
    for ours, theirs in zip(features_of(segmenter), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    requested = {request.split("/resolve/")[0] for request in hub.requests if "/resolve/" in request}
    assert requested == {f"HEAD /timm/{CONVNEXT}", f"GET /timm/{CONVNEXT}"}
    with pytest.raises(WeightsError) as caught:
        create_segmenter("convnext_femto", 3, pretrained=True)
    address = f"download {hub.endpoint}/timm/convnext_femto.d1_in1k/resolve/main/model.safetensors"
    assert str(caught.value).startswith("cannot get model.safetensors of the Hugging Face repository timm/convnext_f")
    assert address in str(caught.value)


def test_a_pvt_gets_timms_file_which_may_be_a_pickle(hub, pvt):
    segmenter = create_segmenter("pvt_v2_b0", 3)
    assert load_pretrained(segmenter) == "timm/pvt_v2_b0.in1k (ImageNet-1k, license: apache-2.0)"
    with torch.no_grad():
        expected = pvt.forward_intermediates(segmenter.normalise(IMAGES), intermediates_only=True)
    for ours, theirs in zip(features_of(segmenter), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_mit_gets_nvidias_file_and_its_license_is_named(hub, mit_classifier):
    segmenter = create_segmenter("mit_b0", 3, norm_eps=1e-5)  # as transformers computes
    text = load_pretrained(segmenter)
    assert text.startswith("nvidia/mit-b0 (ImageNet-1k, license: NVIDIA Source Code License for SegFormer: research")
    with torch.no_grad():
        expected = mit_classifier.segformer(segmenter.normalise(IMAGES), output_hidden_states=True).hidden_states
    for ours, theirs in zip(features_of(segmenter), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_weights_bring_their_normalisation(tmp_path):
    assert timm.get_pretrained_cfg("tf_efficientnet_lite0").mean == (0.5, 0.5, 0.5)
    save_file(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "lite.safetensors")
    segmenter = create_segmenter("tf_efficientnet_lite0", 3, pretrained=tmp_path / "lite.safetensors")
    assert segmenter.config["mean"] == segmenter.config["std"] == [0.5, 0.5, 0.5]
    torch.testing.assert_close(segmenter.normalise(torch.zeros(1, 3, 32, 32)), -torch.ones(1, 3, 32, 32))
    segmenter.save_pretrained(tmp_path / "saved")
    assert type(segmenter).from_pretrained(tmp_path / "saved").config["mean"] == [0.5, 0.5, 0.5]
    with pytest.raises(ConfigError, match="mean cannot be chosen with pretrained weights, which have their own"):
        create_segmenter("convnext_atto", 3, pretrained=True, mean=(0, 0, 0))


@pytest.mark.parametrize(
    ("name", "classes", "wrapped"),
    [("convnext_atto", 7, True), ("convnext_atto", 0, False), ("swin_tiny_patch4_window7_224", 1000, False)],
)
def test_a_file_fills_a_backbone_whatever_its_classes(tmp_path, name, classes, wrapped):
    torch.manual_seed(8)
    state = with_random_vectors(timm.create_model(name, num_classes=classes)).state_dict()
    torch.save({"model": state, "epoch": 3} if wrapped else state, tmp_path / "net.pth")
    segmenter = create_segmenter(name, 3)
    assert load_pretrained(segmenter, tmp_path / "net.pth") == str(tmp_path / "net.pth")
    ours = segmenter.backbone.network.state_dict()
    assert len(ours) > 100
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("name", ["mit_b0", "convnext_femto", "pvt_v2_b0", "convnext_atto"])
def test_weights_of_another_network_or_without_a_tensor_are_refused(tmp_path, convnext, name):
    weights = convnext.state_dict()
    weights.pop("stages.3.blocks.1.conv_dw.weight")
    save_file(weights, tmp_path / "net.safetensors")
    before = create_segmenter(name, 3)
    state = {key: tensor.clone() for key, tensor in before.state_dict().items()}
    with pytest.raises(WeightsError, match=rf"net\.safetensors does not fit {name}: .*it seems to be a class") as e:
        load_pretrained(before, tmp_path / "net.safetensors")
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 2000
    assert all(torch.equal(tensor, state[key]) for key, tensor in before.state_dict().items())


def test_what_nobody_publishes(tmp_path):
    network = timm.create_model("ghostnet_050")
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    for name in ("ghostnet_050", "lvt"):
        with pytest.raises(ConfigError, match=f"nobody publishes weights of the backbone '{name}' that could be fetc"):
            create_segmenter(name, 3, pretrained=True)
    ours = create_segmenter("ghostnet_050", 3, pretrained=tmp_path / "net.safetensors").backbone.network.state_dict()
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in ours.items())
    with pytest.raises(WeightsError, match=f"{tmp_path.name} holds .*none of model.safetensors|cannot be read"):
        create_segmenter("mit_b0", 3, pretrained=tmp_path)
