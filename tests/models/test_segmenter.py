"""The segmenter: sizes, inputs, taps, predictions, and what training does to a module."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from transkd.errors import ConfigError
from transkd.models import Segmenter, create_segmenter


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return create_segmenter("mit_b0", num_classes=7).eval()


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (33, 47)])
def test_shapes_at_any_size_and_methods_that_agree(segmenter, size):
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        taps, alone, logits = segmenter.taps(images, logits=True), segmenter.taps(images), segmenter(images)
        predicted = segmenter.predict(images)
    grids = [tuple(-(-side // stride) for side in size) for stride in segmenter.strides]
    expected = [(2, c, *grid) for c, grid in zip((32, 64, 160, 256), grids, strict=True)]
    assert segmenter.channels == (32, 64, 160, 256)
    assert segmenter.strides == (4, 8, 16, 32)
    assert taps.images.shape == images.shape
    assert [tuple(tensor.shape) for tensor in taps.embeddings] == expected
    assert [tuple(tensor.shape) for tensor in taps.features] == expected
    assert logits.shape == (2, 7, *grids[0])
    assert alone.logits is None
    assert torch.equal(taps.logits, logits)
    assert torch.equal(segmenter.decode(alone.features), logits)
    assert predicted.dtype == torch.int64
    resized = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    assert torch.equal(predicted, resized.argmax(1))
    assert len(predicted.unique()) > 1


def test_uint8_images_equal_floats_over_255(segmenter):
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(segmenter(images), segmenter(images.float() / 255))
        assert torch.equal(segmenter.predict(images), segmenter.predict(images.double() / 255))


def test_normalisation_is_that_of_the_config(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (1, 2, 4)
    expected = (images / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    segmenter = create_segmenter("mit_b0", mean=mean, std=std)
    segmenter.save_pretrained(tmp_path)
    for one in (segmenter, Segmenter.from_pretrained(tmp_path)):
        normalised = one.taps(torch.from_numpy(images)).images
        assert normalised.dtype == torch.float32
        np.testing.assert_allclose(normalised, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(1, 3, 64, 64, dtype=torch.int64), "images must be uint8, or floating point .* not torch.int64"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.bool), "images must be uint8, or floating point .* not torch.bool"),
        (np.zeros((64, 64, 3), np.uint8), r"images must be a torch tensor .* not ndarray; .* torch\.from_numpy"),
        (torch.zeros(3, 64, 64), r"images must have the shape \(B, 3, H, W\), not \(3, 64, 64\)"),
        (torch.zeros(1, 64, 64, 3), r"images must have the shape \(B, 3, H, W\), not \(1, 64, 64, 3\)"),
        (torch.zeros(1, 3, 31, 64), "images of 31x64 pixels are too small: resize or pad them to at least 32"),
    ],
)
def test_unfit_images_are_refused(segmenter, images, message):
    for method in (segmenter, segmenter.taps, segmenter.predict):
        with pytest.raises(ValueError, match=message):
            method(images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, r"num_classes: give 1 or more \(it is 0\)"),
        ({"num_classes": "19"}, r"num_classes: give a whole number \(it is '19'\)"),
        ({"num_classes": True}, r"num_classes: give a whole number \(it is true\)"),
        ({"head_width": -1}, r"head_width: give 1 or more \(it is -1\)"),
        ({"dropout": 1.0}, r"dropout: give a number below 1 \(it is 1.0\)"),
        ({"drop_path_rate": -0.1}, r"drop_path_rate: give 0 or more \(it is -0.1\)"),
        ({"mean": (0.5,)}, r"mean: .* at least 3 items .*\(it is \[0.5\]\)"),
        ({"std": (1, float("nan"), 1)}, r"std\.1: give a number"),
        ({"std": (1, 0, 1)}, r"std\.1: give a number above 0 \(it is 0.0\)"),
        ({"norm_eps": -1.0}, r"norm_eps: give a number above 0 \(it is -1.0\)"),
        ({"num_classes": 2, "class_names": [1, 2]}, r"class_names\.0: give text \(it is 1\)"),
        ({"class_names": ["road", "sky"]}, "class_names: has 2 entries for num_classes=19"),
        ({"num_classes": 2, "palette": [(0, 0, 0)]}, "palette: has 1 entries for num_classes=2"),
        ({"num_classes": 1, "palette": [(0, 0, 256)]}, r"palette\.0\.2: give 255 or less \(it is 256\)"),
    ],
)
def test_unfit_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        create_segmenter("mit_b0", **options)


@pytest.mark.parametrize("backbone", ["mit_b0", "lvt"])
def test_every_parameter_learns_from_an_even_guess_on(backbone):
    torch.manual_seed(0)
    segmenter = create_segmenter(backbone, num_classes=19, drop_path_rate=0.0, dropout=0.0).train()
    logits = segmenter(torch.rand(2, 3, 64, 64))
    loss = F.cross_entropy(logits, torch.randint(0, 19, (2, 16, 16)))
    assert loss.item() == pytest.approx(np.log(19), abs=0.1)
    logits.square().sum().backward()
    without = [name for name, p in segmenter.named_parameters() if p.grad is None or not p.grad.any()]
    # the biases before the batch norm have no effect, nor have those of keys in a softmax with one key
    assert [name for name in without if not name.endswith("bias")] == []


@pytest.mark.parametrize("backbone", ["mit_b0", "lvt"])
def test_bf16_autocast_is_close_and_leaves_weights_alone(backbone):
    torch.manual_seed(0)
    segmenter = create_segmenter(backbone, num_classes=7).eval()
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = segmenter.taps(images, logits=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            taps = segmenter.taps(images, logits=True)
    tensors = (expected.images, *expected.embeddings, *expected.features, expected.logits, *segmenter.parameters())
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert taps.logits.dtype == torch.bfloat16
    assert taps.images.dtype == torch.float32
    error = (taps.logits.float() - expected.logits).abs().max()
    assert 0 < error < 0.1 * expected.logits.abs().max()
    for image in (torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.zeros(1, 3, 32, 32)):
        assert copy.deepcopy(segmenter).to(torch.bfloat16)(image).dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_backbone_and_head_compile_without_graph_breaks(segmenter, training):
    model = copy.deepcopy(segmenter).train(training)
    for module in model.modules():
        if type(module).__name__ in ("DropPath", "Dropout2d"):
            module.eval()
    images = torch.rand(2, 3, 64, 96)
    expected = model(images)
    model.backbone = torch.compile(model.backbone, fullgraph=True, backend="eager")
    model.head = torch.compile(model.head, fullgraph=True, backend="eager")
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.taps(images, logits=True).logits.dtype == torch.bfloat16
