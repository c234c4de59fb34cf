"""Predictions against ``Segmenter.predict``, the loader's resizing and the evaluation's windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from transkd.data.transforms import evaluation
from transkd.errors import ConfigError, NonFiniteError
from transkd.evaluation.inference import Inference, infer
from transkd.evaluation.predict.network import WHOLE_VALUES, Network, Prediction, classes_at
from transkd.evaluation.predict.resizing import input_size, resize
from transkd.evaluation.predict.windows import Windows, bands
from transkd.models import Segmenter, create_segmenter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    return create_segmenter("mit_b0", 5).eval()


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def as_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def only(results: list[Prediction | NonFiniteError]) -> Prediction:
    (result,) = results
    assert isinstance(result, Prediction)
    return result


def blocky(images: Tensor) -> Tensor:
    """Give logits (B, 19, h / 4, w / 4) that depend on the picture alone."""
    means = torch.nn.functional.avg_pool2d(images.float().mean(1, keepdim=True), 4, ceil_mode=True)
    return torch.cos(means * torch.arange(1.0, 20.0).view(1, 19, 1, 1) / 40)


def test_ids_are_what_the_segmenter_predicts(segmenter: Segmenter) -> None:
    images = [picture(64, 96), picture(64, 96, 1)]
    network = Network(segmenter, segmenter.predict, CPU)
    for image, found in zip(images, network.predict(images), strict=True):
        assert isinstance(found, Prediction)
        assert found.ids.dtype == np.uint8
        assert found.confidence is None
        assert np.array_equal(found.ids, segmenter.predict(as_tensor(image))[0].numpy())
        assert len(np.unique(found.ids)) > 1


def test_confidence_is_the_largest_softmax_value(segmenter: Segmenter) -> None:
    image = picture(64, 96)
    found = only(Network(segmenter, segmenter.predict, CPU, confidence=True).predict([image]))
    with torch.no_grad():
        logits = torch.nn.functional.interpolate(segmenter(as_tensor(image)), (64, 96), mode="bilinear")
    best = logits.softmax(1).max(1).values[0].numpy()
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence, best, rtol=1e-5)


def test_large_logits_class_by_class_give_the_same() -> None:
    logits = torch.randn(19, 32, 48, generator=torch.Generator().manual_seed(0))
    size = (760, 1200)
    assert logits.shape[0] * size[0] * size[1] > WHOLE_VALUES
    ids, confidence = classes_at(logits, size, confidence=True)
    whole = torch.nn.functional.interpolate(logits[None], size, mode="bilinear")[0]
    assert torch.equal(ids, whole.argmax(0))
    assert confidence is not None
    torch.testing.assert_close(confidence, whole.softmax(0).max(0).values)


@pytest.mark.parametrize(("size", "own"), [(64, (90, 120)), ((64, 128), (90, 120)), (96, (40, 70)), (None, (50, 60))])
def test_pictures_are_resized_as_the_loader_resizes_them(size: Any, own: tuple[int, int]) -> None:
    image = picture(*own)
    theirs, _ = evaluation(size)(image, np.zeros(own, np.uint8), 0)
    assert np.array_equal(resize(image, input_size(own, size)), theirs)


def test_predictions_have_the_pictures_own_size(segmenter: Segmenter) -> None:
    found = only(Network(segmenter, segmenter.predict, CPU, size=64).predict([picture(90, 131)]))
    assert found.ids.shape == (90, 131)


def test_a_tiny_picture_is_enlarged_for_the_segmenter(segmenter: Segmenter) -> None:
    assert input_size((5, 300), None) == (32, 300)
    assert only(Network(segmenter, segmenter.predict, CPU).predict([picture(5, 40)])).ids.shape == (5, 40)
    assert only(Network(segmenter, segmenter.predict, CPU).predict([picture(1, 1)])).ids.shape == (1, 1)


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
    parts = list(bands(blocky, image, Windows.of(crop, stride), batch_size=2))
    tops = [top for top, _ in parts]
    heights = [logits.shape[1] for _, logits in parts]
    assert tops == [sum(heights[:number]) for number in range(len(parts))]
    theirs = infer(blocky, image[None], Inference(crop, stride))
    torch.testing.assert_close(torch.cat([logits for _, logits in parts], 1), theirs[0], rtol=1e-5, atol=1e-5)


def test_windows_and_another_size_go_together() -> None:
    image = picture(100, 150)
    network = Network(blocky, lambda images: images[:, 0], CPU, size=200, windows=Windows.of((64, 64), None))
    logits = infer(blocky, as_tensor(resize(image, (200, 300))), Inference((64, 64)))
    ids = torch.nn.functional.interpolate(logits, (100, 150), mode="bilinear").argmax(1)[0]
    assert np.mean(only(network.predict([image])).ids == ids.numpy()) > 0.999  # sums in another order


class LargestTensor(TorchDispatchMode):
    """Notes how many values the largest tensor has that is made meanwhile."""

    values = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for made in result if isinstance(result, tuple | list) else (result,):
            if isinstance(made, Tensor):
                self.values = max(self.values, made.numel())
        return result


def test_a_large_picture_by_windows_needs_the_memory_of_a_band() -> None:
    image = picture(2000, 3000)
    network = Network(
        blocky, lambda images: images[:, 0], CPU, windows=Windows.of((256, 256), (256, 256)), batch_size=4
    )
    with LargestTensor() as largest:
        found = only(network.predict([image]))
    assert found.ids.shape == (2000, 3000)
    band, picture_values, everything = 19 * 256 * 3000, 3 * 2000 * 3000, 19 * 2000 * 3000
    assert largest.values <= max(band, picture_values) < everything / 5
    # every window is of the picture's own pixels, so that the corner is what a picture of the corner gives
    corner = only(Network(blocky, lambda images: images[:, 0], CPU).predict([image[:256, :256]]))
    assert np.array_equal(found.ids[:256, :256], corner.ids)


def test_classes_alone_are_resized_to_the_nearest() -> None:
    def classes(images: Tensor) -> Tensor:
        return (images[:, 0] > 127).long() * 3

    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    found = only(Network(None, classes, CPU, size=32).predict([image]))
    assert np.array_equal(found.ids, (image[..., 0] > 127) * 3)


def test_scores_that_are_not_finite_are_no_prediction() -> None:
    def broken(images: Tensor) -> Tensor:
        logits = blocky(images)
        logits[1, 3, 2, 2] = float("nan")
        return logits

    first, second = Network(broken, lambda images: images[:, 0], CPU).predict([picture(40, 40), picture(40, 40, 1)])
    assert isinstance(first, Prediction)
    assert isinstance(second, NonFiniteError)
    assert "NaN or infinite" in str(second)


def test_too_little_memory_is_said_with_a_remedy() -> None:
    def greedy(images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    network = Network(greedy, lambda images: images[:, 0], CPU)
    with pytest.raises(ConfigError, match="2 x 40x48 pixels do not fit into the memory: use a smaller batch_size"):
        network.predict([picture(40, 48), picture(40, 48)])
    with pytest.raises(ConfigError, match="use inference=slide"):
        network.predict([picture(40, 48)])
