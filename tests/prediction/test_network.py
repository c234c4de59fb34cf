"""Predictions against ``Segmenter.predict``, the loader's resizing and the evaluation's windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from transkd.data.transforms import evaluation
from transkd.errors import ConfigError, DataError, NonFiniteError, TransKDError
from transkd.evaluation.inference import Inference, infer
from transkd.models import Segmenter, create_segmenter
from transkd.prediction.network import Network, Prediction, bands, input_size, resize

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return create_segmenter("mit_b0", 5).eval()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def only(results: list[Prediction | TransKDError]) -> Prediction:
    (result,) = results
    assert isinstance(result, Prediction)
    return result


def blocky(images: Tensor) -> Tensor:
    """Give logits (B, 19, h / 4, w / 4) that depend on the picture alone."""
    means = torch.nn.functional.avg_pool2d(images.float().mean(1, keepdim=True), 4, ceil_mode=True)
    return torch.cos(means * torch.arange(1.0, 20.0).view(1, 19, 1, 1) / 40)


def test_ids_and_confidence_are_the_largest_softmax(segmenter: Segmenter) -> None:
    images = [picture(64, 96), picture(64, 96, 1)]
    network = Network(segmenter, segmenter.predict, CPU, confidence=True)
    for image, found in zip(images, network.predict(images), strict=True):
        with torch.no_grad():
            logits = torch.nn.functional.interpolate(segmenter(as_tensor(image)), (64, 96), mode="bilinear")
        assert isinstance(found, Prediction)
        assert found.ids.dtype == np.uint8
        assert found.confidence is not None
        assert np.array_equal(found.ids, segmenter.predict(as_tensor(image))[0].numpy())
        np.testing.assert_allclose(found.confidence, logits.softmax(1).max(1).values[0].numpy(), rtol=1e-5)
        assert len(np.unique(found.ids)) > 1


@pytest.mark.parametrize(("size", "own"), [(64, (90, 120)), ((64, 128), (90, 120)), (96, (40, 70)), (None, (50, 60))])
def test_pictures_are_resized_as_the_loader_resizes_them(size: Any, own: tuple[int, int]) -> None:
    image = picture(*own)
    theirs, _ = evaluation(size)(image, np.zeros(own, np.uint8), 0)
    assert np.array_equal(resize(image, input_size(own, size)), theirs)


def test_tiny_pictures_are_enlarged_for_the_segmenter_and_strips_not_beyond_measure(segmenter: Segmenter) -> None:
    assert input_size((5, 300), None) == (32, 300)
    assert only(Network(segmenter, segmenter.predict, CPU).predict([picture(1, 1)])).ids.shape == (1, 1)
    assert input_size((9000, 9000), None) == (9000, 9000)
    with pytest.raises(DataError, match="3x5000 pixels would be enlarged to 512x853333 for the model: give another"):
        input_size((3, 5000), 512)


@pytest.mark.parametrize(
    ("size", "crop", "stride"),
    [
        ((100, 150), (64, 64), None),
        ((100, 150), (64, 64), (64, 64)),
        ((97, 131), (33, 40), (7, 23)),
        ((40, 150), (64, 64), (32, 32)),
        ((64, 64), (64, 64), (1, 64)),
    ],
)
def test_bands_together_are_the_evaluations_windows(size: tuple[int, int], crop: Any, stride: Any) -> None:
    image = torch.from_numpy(picture(*size)).permute(2, 0, 1)
    ours = torch.cat(list(bands(blocky, image, Inference(crop, stride))), 1)
    theirs = infer(blocky, image[None], Inference(crop, stride))
    torch.testing.assert_close(ours, theirs[0], rtol=1e-5, atol=1e-5)


class LargestTensor(TorchDispatchMode):
    """Notes how many values the largest tensor has that is made meanwhile."""

    values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor):
                self.values = max(self.values, made.numel())
        return result


def test_a_large_picture_by_windows_needs_the_memory_of_a_band(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transkd.prediction.network.DENSE_PIXELS", 2**16)
    image = picture(500, 750)
    with LargestTensor() as largest:
        found = only(Network(blocky, blocky, CPU, views=Inference((64, 64), (64, 64))).predict([image]))
    assert found.ids.shape == (500, 750)
    band, picture_values, everything = 19 * 64 * 750, 3 * 500 * 750, 19 * 500 * 750
    assert largest.values <= max(band, picture_values) < everything / 5
    # every window is of the picture's own pixels, so that the corner is what a picture of the corner gives
    corner = only(Network(blocky, blocky, CPU).predict([image[:64, :64]]))
    assert np.array_equal(found.ids[:64, :64], corner.ids)


def test_scores_that_are_not_finite_are_no_prediction() -> None:
    def broken(images: Tensor) -> Tensor:
        logits = blocky(images)
        logits[1, 3, 2, 2] = float("nan")
        return logits

    first, second = Network(broken, blocky, CPU).predict([picture(40, 40), picture(40, 40, 1)])
    assert isinstance(first, Prediction)
    assert isinstance(second, NonFiniteError)
    assert "NaN or infinite" in str(second)


def test_too_little_memory_for_a_batch_is_tried_one_by_one() -> None:
    def greedy(images: Tensor) -> Tensor:
        if len(images) > 1 or images.shape[-1] > 48:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return blocky(images)

    network = Network(greedy, blocky, CPU)
    found = network.predict([picture(40, 48), picture(40, 48, 1)])
    assert [len(np.unique(only([one]).ids)) > 1 for one in found] == [True, True]
    (failed,) = network.predict([picture(40, 64)])
    assert isinstance(failed, ConfigError)
    assert "40x64 pixels do not fit into the memory: use inference=slide" in str(failed)


def test_what_a_score_sees_is_what_a_prediction_sees() -> None:
    images = [picture(90, 120), picture(90, 120, 1)]
    views = Inference((48, 48), (20, 30), (0.75, 1.0, 1.5), flip=True)
    network = Network(blocky, blocky, CPU, size=64, views=views, confidence=True)
    seen = torch.cat([as_tensor(resize(image, (64, 85))) for image in images])
    shares = torch.nn.functional.interpolate(infer(blocky, seen, views), (90, 120), mode="bilinear")
    torch.testing.assert_close(shares.sum(1), torch.ones(2, 90, 120))
    for found, expected in zip(network.predict(images), shares, strict=True):
        assert isinstance(found, Prediction)
        assert found.confidence is not None
        assert np.array_equal(found.ids, expected.argmax(0).numpy())
        np.testing.assert_allclose(found.confidence, expected.max(0).values.numpy(), rtol=1e-5)
