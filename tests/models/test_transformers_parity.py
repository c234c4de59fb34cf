"""SegFormers go from transformers to us and back, and their logits stay the same."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import save_file

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("transformers")
from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor
from transformers_layout import SIZES, in_memory_names, published_state, reference_segformer

from transkd.errors import ConfigError
from transkd.models import create_segmenter, load_segmenter
from transkd.models.formats.transformers import to_transformers

ODD_SIZES = [(64, 96), (33, 47), (129, 97)]


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


@pytest.mark.parametrize("backbone", SIZES)
def test_a_segformer_of_transformers_comes_with_its_logits_and_goes_back_tensor_for_tensor(backbone, tmp_path):
    reference = reference_segformer(backbone, num_classes=19)
    published = published_state(reference, tmp_path)
    segmenter = load_segmenter(tmp_path)
    assert segmenter.config["backbone"] == backbone
    for size in ODD_SIZES if backbone in ("mit_b0", "mit_b2") else [(64, 64)]:
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


@pytest.mark.parametrize("backbone", ["mit_b0", "mit_b2"])
@pytest.mark.parametrize("norm_eps", [None, 1e-5, 1e-2])
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


def test_the_epsilon_matters_to_the_logits(tmp_path):
    """Without the scaling of the export, the test above would fail."""
    torch.manual_seed(0)
    segmenter = with_random_norms(create_segmenter("mit_b0", num_classes=5, norm_eps=1e-2))
    other = create_segmenter("mit_b0", num_classes=5, norm_eps=1e-5).eval()
    other.load_state_dict(segmenter.state_dict())
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert (other(images) - segmenter(images)).abs().max() > 1e-3


@pytest.mark.parametrize("names", [["road", "sky", "car"], None])
def test_class_names_and_numbers_come_along(names, tmp_path):
    segmenter = create_segmenter("mit_b1", num_classes=3, class_names=names, dropout=0.2, drop_path_rate=0.3).eval()
    write_export(segmenter, tmp_path)
    model = SegformerForSemanticSegmentation.from_pretrained(tmp_path)
    assert model.config.id2label == dict(enumerate(names or ["LABEL_0", "LABEL_1", "LABEL_2"]))
    assert model.config.num_labels == 3
    assert model.config.classifier_dropout_prob == 0.2
    assert model.config.semantic_loss_ignore_index == 255
    assert load_segmenter(tmp_path).config == segmenter.config | {"norm_eps": 1e-5}


def test_the_image_processor_resizes_where_asked_to(tmp_path):
    write_export(create_segmenter("mit_b0"), tmp_path, size=(64, 128))
    processor = SegformerImageProcessor.from_pretrained(tmp_path)
    image = torch.zeros(3, 50, 50, dtype=torch.uint8)
    assert processor(images=image, return_tensors="pt")["pixel_values"].shape == (1, 3, 64, 128)


@pytest.mark.parametrize(("backbone", "head"), [("pvt_v2_b0", "segformer"), ("mit_b0", "semantic_fpn")])
def test_only_a_segformer_becomes_one(backbone, head):
    with pytest.raises(
        ConfigError, match=f"backbone {backbone} and head {head} cannot become a Hugging Face SegFormer"
    ):
        to_transformers(create_segmenter(backbone, head=head))


@pytest.mark.parametrize("prefix", ["", "module.", "model."])
def test_the_layout_that_transformers_has_in_memory(prefix, tmp_path):
    reference = reference_segformer("mit_b0", num_classes=4)
    published = published_state(reference, tmp_path)
    in_memory = in_memory_names(published)
    assert in_memory.keys().isdisjoint(name for name in published if "encoder" in name or "linear_c" in name)
    assert set(reference.state_dict()) in (set(in_memory), set(published))
    expected = load_segmenter(tmp_path)
    for number, layout in enumerate((published, in_memory)):
        path = tmp_path / f"{number}.bin"
        torch.save({f"{prefix}{name}": tensor for name, tensor in layout.items()}, path)
        (tmp_path / "config.json").unlink(missing_ok=True)
        loaded = load_segmenter(path)
        assert loaded.config == expected.config
        state = loaded.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in expected.state_dict().items())


def test_stochastic_depth_rises_as_in_transformers():
    from transformers import SegformerConfig

    reference = SegformerForSemanticSegmentation(SegformerConfig(drop_path_rate=0.3))
    expected = [m.drop_prob for m in reference.modules() if type(m).__name__ == "SegformerDropPath"]
    segmenter = create_segmenter("mit_b0", drop_path_rate=0.3)
    blocks = [block for stage in segmenter.backbone.stages for block in stage.blocks]
    rates = [block.drop_path2.drop_prob for block in blocks[1:]]
    assert len(expected) == 7
    assert rates == pytest.approx(expected)
    assert isinstance(blocks[0].drop_path1, torch.nn.Identity)
    assert rates[-1] == pytest.approx(0.3)
