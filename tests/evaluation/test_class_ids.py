"""Models that answer with class ids: scored as their logits would be, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from transkd.errors import ConfigError
from transkd.evaluation.class_ids import logits_of_ids
from transkd.evaluation.evaluate import evaluate
from transkd.evaluation.inference import Inference

NAMES = ("road", "sky", "car")
OPTIONS = {"model": "m", "inference": Inference(), "resolution": "label"}


def predict(images: torch.Tensor) -> torch.Tensor:
    """The brightest colour."""
    return images.argmax(dim=1)


def batch(label_size: tuple[int, int] = (32, 48)) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, 32, 48)).astype(np.uint8)
    labels = rng.integers(0, 3, (2, *label_size)).astype(np.uint8)
    return {"image": torch.from_numpy(images), "label": torch.from_numpy(labels), "index": torch.arange(2)}


def test_ids_are_counted_by_the_dataset_s_classes() -> None:
    outputs = (2, 0, 1)
    logits_of = logits_of_ids(predict, 3, outputs, **OPTIONS)
    scored = batch()
    found = evaluate(logits_of, [scored], NAMES, outputs=outputs, of_ids=True)
    classes = np.argsort(outputs)[predict(scored["image"]).numpy()]
    by_hand = np.zeros((3, 3), int)
    np.add.at(by_hand, (scored["label"].numpy(), classes), 1)
    np.testing.assert_array_equal(found.confusion.sum(0).numpy(), by_hand)


def test_ids_take_no_more_memory_than_their_logits() -> None:
    logits_of = logits_of_ids(predict, 150, range(150), **OPTIONS)
    with TensorBytes() as made:
        logits = logits_of(batch()["image"])
    assert logits.shape == (2, 150, 32, 48)
    assert made.largest == logits.numel() * 4


class TensorBytes(TorchDispatchMode):
    """Watches how many bytes the largest tensor takes that is made."""

    largest = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.largest = max(self.largest, made.numel() * made.element_size())
        return made


def test_labels_of_another_size_are_refused() -> None:
    logits_of = logits_of_ids(predict, 3, (0, 1, 2), **OPTIONS)
    with pytest.raises(ConfigError, match=r"class ids of 32x48, .* labels of 64x96: .*data.size=\[64,96\]"):
        evaluate(logits_of, [batch((64, 96))], NAMES, of_ids=True)


@pytest.mark.parametrize(
    ("change", "outputs", "reason"),
    [
        ({"inference": Inference(flip=True)}, (0, 1, 2), "windows, scales and flip average logits"),
        ({"resolution": "logit"}, (0, 1, 2), "scores logits at a quarter"),
        ({}, (0, 1), "1 of its classes are not the dataset's"),
    ],
)
def test_what_needs_logits_says_so(change, outputs, reason) -> None:
    with pytest.raises(ConfigError, match=f"m gives class ids, not logits, and .*{reason}.*: export it again"):
        logits_of_ids(predict, 3, outputs, **(OPTIONS | change))
