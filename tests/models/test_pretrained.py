"""Pretrained backbones: what is fetched from the hub, what a file fills, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from hub_server import HubServer, serving
from huggingface_hub import constants
from released_names import nvlabs_state
from safetensors.torch import save, save_file

from transkd.errors import ConfigError, WeightsError
from transkd.models import create_segmenter
from transkd.models.create import load_pretrained

IMAGES = torch.rand(1, 3, 64, 96)
CONVNEXT, SWIN = "convnext_atto.d2_in1k", "swin_tiny_patch4_window7_224"


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


@pytest.mark.parametrize("name", [CONVNEXT, "convnext_atto"])
def test_a_timm_network_gets_timms_file_with_its_features(hub, convnext, name):
    segmenter = create_segmenter(name, 3, pretrained=True)
    with torch.no_grad():
        expected = convnext.forward_intermediates(segmenter.normalise(IMAGES), intermediates_only=True)
    for ours, theirs in zip(features_of(segmenter), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    asked = {request.split("/resolve/")[0] for request in hub.requests if "/resolve/" in request}
    assert asked == {f"HEAD /timm/{CONVNEXT}", f"GET /timm/{CONVNEXT}"}


def test_a_pvt_gets_timms_file_which_may_be_a_pickle(hub, pvt):
    segmenter = create_segmenter("pvt_v2_b0", 3)
    said = load_pretrained(segmenter)
    assert said == "timm/pvt_v2_b0.in1k (ImageNet-1k, license: apache-2.0)"
    with torch.no_grad():
        expected = pvt.forward_intermediates(segmenter.normalise(IMAGES), intermediates_only=True)
    for ours, theirs in zip(features_of(segmenter), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_mit_gets_nvidias_file_and_its_license_is_named(hub, mit_classifier):
    segmenter = create_segmenter("mit_b0", 3, norm_eps=1e-5)  # as transformers computes
    said = load_pretrained(segmenter)
    assert said.startswith("nvidia/mit-b0 (ImageNet-1k, license: NVIDIA Source Code License for SegFormer: research")
    with torch.no_grad():
        expected = mit_classifier.segformer(segmenter.normalise(IMAGES), output_hidden_states=True).hidden_states
    for ours, theirs in zip(features_of(segmenter), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_file_that_is_not_there_is_told_with_its_address(hub):
    with pytest.raises(WeightsError) as caught:
        create_segmenter("convnext_femto", 3, pretrained=True)
    assert "cannot get model.safetensors of the Hugging Face repository timm/convnext_femto.d1_in1k: " in str(
        caught.value
    )
    assert f"download {hub.endpoint}/timm/convnext_femto.d1_in1k/resolve/main/model.safetensors" in str(caught.value)


def test_the_weights_bring_their_normalisation(tmp_path):
    segmenter = create_segmenter("convnext_atto", 3)
    assert segmenter.config["mean"] == [0.485, 0.456, 0.406]
    assert timm.get_pretrained_cfg("tf_efficientnet_lite0").mean == (0.5, 0.5, 0.5)
    save_file(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "lite.safetensors")
    segmenter = create_segmenter("tf_efficientnet_lite0", 3, pretrained=tmp_path / "lite.safetensors")
    assert segmenter.config["mean"] == segmenter.config["std"] == [0.5, 0.5, 0.5]
    torch.testing.assert_close(segmenter.normalise(torch.zeros(1, 3, 32, 32)), -torch.ones(1, 3, 32, 32))
    segmenter.save_pretrained(tmp_path / "saved")
    assert type(segmenter).from_pretrained(tmp_path / "saved").config["mean"] == [0.5, 0.5, 0.5]
    with pytest.raises(ConfigError, match="mean cannot be chosen with pretrained weights, which have their own"):
        create_segmenter("convnext_atto", 3, pretrained=True, mean=(0, 0, 0))


@pytest.mark.parametrize("classes", [0, 7, 1000])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_fills_a_backbone_whatever_its_classes(tmp_path, classes, wrapped):
    torch.manual_seed(8)
    network = with_random_vectors(timm.create_model(SWIN if wrapped else "twins_svt_small", num_classes=classes))
    state = network.state_dict()
    torch.save({"model": state, "epoch": 3} if wrapped else state, tmp_path / "net.pth")
    segmenter = create_segmenter(SWIN if wrapped else "twins_svt_small", 3)
    assert load_pretrained(segmenter, tmp_path / "net.pth") == str(tmp_path / "net.pth")
    ours = segmenter.backbone.network.state_dict()
    assert len(ours) > 100
    assert all(torch.equal(tensor, state[name]) for name, tensor in ours.items())


def test_a_mit_is_filled_from_a_folder_and_from_nvlabs_names(tmp_path, mit_folder):
    first, second = (create_segmenter("mit_b0", 3) for _ in range(2))
    load_pretrained(first, mit_folder)
    torch.save({"state_dict": nvlabs_state(first)}, tmp_path / "mit_b0.pth")
    load_pretrained(second, tmp_path / "mit_b0.pth")
    for ours, theirs in zip(features_of(second), features_of(first), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_of_another_network_are_refused_with_what_they_are(tmp_path, convnext, mit_folder):
    save_file(convnext.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=r"net\.safetensors does not fit mit_b0: .* missing: .*it seems to be a cl"):
        create_segmenter("mit_b0", 3, pretrained=tmp_path / "net.safetensors")
    for name in ("convnext_femto", "twins_svt_small", "pvt_v2_b0"):
        before = create_segmenter(name, 3)
        state = {key: tensor.clone() for key, tensor in before.state_dict().items()}
        with pytest.raises(WeightsError, match=rf"net\.safetensors does not fit {name}: .*it seems to be a class") as e:
            load_pretrained(before, tmp_path / "net.safetensors")
        assert "\n" not in str(e.value)
        assert len(str(e.value)) < 2000
        assert all(torch.equal(tensor, state[key]) for key, tensor in before.state_dict().items())


def test_one_missing_tensor_is_enough(tmp_path, convnext):
    state = convnext.state_dict()
    state.pop("stages.3.blocks.1.conv_dw.weight")
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=r"does not fit convnext_atto: .*stages\.3\.blocks\.1\.conv_dw\.weight"):
        create_segmenter("convnext_atto", 3, pretrained=tmp_path / "net.safetensors")


def test_files_that_are_no_weights_are_refused(tmp_path):
    segmenter = create_segmenter("mit_b0", 3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.safetensors").write_bytes(save({"a": torch.zeros(9)})[:-4])
    for source, reason in {
        "nowhere.pth": "nowhere.pth cannot be read: No such file",
        "empty": "empty holds no weights for PyTorch: none of model.safetensors",
        "cut.safetensors": r"cut.safetensors \(.* bytes\) is damaged",
    }.items():
        with pytest.raises(WeightsError, match=reason):
            load_pretrained(segmenter, tmp_path / source)


def test_a_file_of_what_nobody_publishes_is_taken(tmp_path):
    network = timm.create_model("ghostnet_050")
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    with pytest.raises(ConfigError, match="nobody publishes weights of the backbone 'ghostnet_050'"):
        create_segmenter("ghostnet_050", 3, pretrained=True)
    ours = create_segmenter("ghostnet_050", 3, pretrained=tmp_path / "net.safetensors").backbone.network.state_dict()
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in ours.items())


def test_what_nobody_publishes_is_said():
    with pytest.raises(ConfigError, match="nobody publishes weights of the backbone 'lvt' that could be fetched"):
        create_segmenter("lvt", 3, pretrained=True)
    with pytest.raises(ConfigError, match=r"outside the Hugging Face hub, at https://.*: download that file and pass"):
        load_pretrained(create_segmenter("legacy_seresnet18", 3))
