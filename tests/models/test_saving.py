"""Saving a segmenter and loading it again, bit for bit."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import huggingface_hub.hub_mixin
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors import safe_open

from transkd.errors import ConfigError, WeightsError
from transkd.evaluation.digest import module_digest
from transkd.models import Segmenter, create_segmenter, load_segmenter, segmenter


@pytest.fixture(scope="module")
def stepped() -> Segmenter:
    torch.manual_seed(0)
    model = create_segmenter("mit_b0", num_classes=3, class_names=["a", "b", "c"], std=(0.5, 0.5, 0.5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model(torch.rand(2, 3, 64, 64)).square().mean().backward()
    optimizer.step()
    return model


@pytest.fixture
def trained(stepped) -> Segmenter:
    return copy.deepcopy(stepped)


@pytest.mark.parametrize("load", [load_segmenter, Segmenter.from_pretrained])
def test_round_trip_is_bitwise(trained, load, tmp_path):
    trained.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    assert not loaded.training
    assert loaded.config == trained.config
    assert loaded.class_names == ("a", "b", "c")
    state, expected = loaded.state_dict(), trained.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    images = torch.randint(0, 256, (1, 3, 33, 65), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(loaded(images), trained.eval()(images))


def test_colours_are_saved_and_are_no_part_of_what_predicts(trained, tmp_path):
    assert trained.palette is None
    coloured = Segmenter(**trained.config | {"palette": [(40, 40, 40), (220, 40, 40), [0, 255, 0]]})
    coloured.load_state_dict(trained.state_dict())
    coloured.save_pretrained(tmp_path)
    loaded = load_segmenter(tmp_path)
    assert loaded.palette == ((40, 40, 40), (220, 40, 40), (0, 255, 0))
    assert module_digest(loaded) == module_digest(trained)
    before = json.loads((tmp_path / "config.json").read_text())
    del before["palette"]  # as those that were saved before there was one
    (tmp_path / "config.json").write_text(json.dumps(before))
    assert load_segmenter(tmp_path).palette is None


@pytest.mark.parametrize(
    ("palette", "said"),
    [
        ([(0, 0, 0)], "there are 1 colours in palette for num_classes=2"),
        ([(0, 0), (1, 1, 1)], r"palette must have red, green and blue of 0 to 255 for each class, not \[0, 0\]"),
        ([(0, 0, 256), (1, 1, 1)], r"of 0 to 255 for each class, not \[0, 0, 256\]"),
    ],
)
def test_colours_that_cannot_be(palette, said):
    with pytest.raises(ConfigError, match=said):
        create_segmenter("mit_b0", num_classes=2, palette=palette)


def test_the_folder_is_what_the_hub_expects(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert json.loads((tmp_path / "config.json").read_text()) == trained.config
    card = ModelCard.load(tmp_path / "README.md").data
    assert card.library_name == "transkd"
    assert card.pipeline_tag == "image-segmentation"
    assert {"semantic-segmentation", "knowledge-distillation"} <= set(card.tags)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(trained.state_dict())


def test_saving_again_replaces_weights_and_config(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    other = create_segmenter("mit_b0", num_classes=5)
    other.save_pretrained(tmp_path)
    loaded = load_segmenter(tmp_path)
    assert loaded.num_classes == 5
    assert torch.equal(loaded.head.fuse.weight, other.head.fuse.weight)


def test_what_is_no_folder_is_told_so(trained, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WeightsError, match=r"file is no folder that a segmenter can be saved in \(File exists\)"):
        trained.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_compiled_parts_are_saved_under_their_own_names(trained, tmp_path):
    compiled = torch.compile(trained.backbone, backend="eager")
    expected = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    trained.backbone = compiled
    assert any("_orig_mod" in name for name in trained.state_dict())
    trained.save_pretrained(tmp_path)
    loaded = load_segmenter(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)


def test_channels_last_weights_are_saved(trained, tmp_path):
    trained.to(memory_format=torch.channels_last).save_pretrained(tmp_path)
    assert torch.equal(load_segmenter(tmp_path).head.fuse.weight, trained.head.fuse.weight)


@pytest.mark.parametrize("folder", ["student", "model"])
def test_a_run_folder_loads_what_the_run_trained(trained, folder, tmp_path):
    trained.save_pretrained(tmp_path / folder)
    loaded = load_segmenter(str(tmp_path), backbone="mit_b0", num_classes=3)
    assert torch.equal(loaded.head.fuse.weight, trained.head.fuse.weight)


def test_from_pretrained_takes_config_and_weights_of_a_hub_id(trained, tmp_path, monkeypatch):
    def download(repo_id, filename, **options):
        assert repo_id == "someone/scenes"
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub.hub_mixin, "hf_hub_download", lambda **call: download(**call))
    monkeypatch.setattr(segmenter, "hub_file", lambda *call, **options: Path(download(*call, **options)))
    trained.save_pretrained(tmp_path)
    loaded = Segmenter.from_pretrained("someone/scenes")
    assert torch.equal(loaded.head.fuse.weight, trained.head.fuse.weight)


def test_from_pretrained_never_guesses_an_architecture(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"holds no config\.json of a transkd segmenter"):
        Segmenter.from_pretrained(tmp_path)
