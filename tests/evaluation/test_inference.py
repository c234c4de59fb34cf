"""Windows, scales and flips, against what they must be for networks whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from transkd.errors import ConfigError
from transkd.evaluation.inference import Inference, infer
from transkd.models import create_segmenter


def pointwise(images):
    """A network of each pixel alone: windows cannot change its answer."""
    values = images.float() / 255 if images.dtype == torch.uint8 else images
    return torch.stack([values[:, 0], values[:, 1] - values[:, 2]], dim=1)


@pytest.mark.parametrize("size", [(64, 64), (70, 101), (33, 40)])
@pytest.mark.parametrize("stride", [None, (32, 32), (17, 50)])
def test_windows_of_a_pointwise_network_give_the_whole(size, stride):
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    windows = infer(pointwise, images, Inference(crop=(48, 64), stride=stride))
    assert torch.allclose(windows, pointwise(images), atol=1e-6)


def test_a_segmenter_s_windows_are_averages_of_its_logits_on_crops():
    torch.manual_seed(0)
    model = create_segmenter("mit_b0", 4).eval()
    images = torch.rand(1, 3, 64, 96)
    total, count = torch.zeros(1, 4, 64, 96), torch.zeros(64, 96)
    with torch.no_grad():
        for left in (0, 32):
            crop = functional.interpolate(model(images[..., left : left + 64]), (64, 64), mode="bilinear")
            total[..., left : left + 64] += crop
            count[:, left : left + 64] += 1
    windows = infer(model, images, Inference(crop=(64, 64), stride=(64, 32)))
    assert torch.allclose(windows, total / count, atol=1e-5)


def test_flip_and_scales_average_softmax_over_views():
    torch.manual_seed(0)
    model = create_segmenter("mit_b0", 4).eval()
    images = torch.rand(2, 3, 64, 96)
    expected = torch.zeros(2, 4, 64, 96)
    with torch.no_grad():
        for scale in (0.75, 1.0):
            view = functional.interpolate(images, (int(64 * scale), int(96 * scale)), mode="bilinear")
            for flip in (False, True):
                logits = model(view.flip(-1) if flip else view)
                logits = functional.interpolate(logits, view.shape[-2:], mode="bilinear")
                logits = logits.flip(-1) if flip else logits
                expected += functional.interpolate(logits, (64, 96), mode="bilinear").softmax(1) / 4
    scores = infer(model, images, Inference(scales=(0.75, 1.0), flip=True))
    assert torch.allclose(scores, expected, atol=1e-5)
    assert torch.allclose(scores.sum(1), torch.ones(2, 64, 96), atol=1e-5)


def test_a_scale_that_leaves_too_few_pixels_is_refused():
    model = create_segmenter("mit_b0", 4).eval()
    with pytest.raises(ConfigError, match=r"scale 0.4 makes 26x38 pixels of an image of 64x96"):
        infer(model, torch.rand(1, 3, 64, 96), Inference(scales=(1.0, 0.4)))


def test_windows_without_a_stride_are_two_thirds_apart_and_say_so():
    assert Inference(crop=(96, 33)).steps == (64, 22)
    assert Inference(crop=(96, 33), stride=(10, 20)).steps == (10, 20)
    assert Inference().steps is None
