"""Classes matched by name or by ids, and scores over them, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transkd.errors import ConfigError
from transkd.evaluation import match_classes, outputs_for_classes
from transkd.evaluation.class_match import ClassMatch, logits_of_ids
from transkd.evaluation.evaluate import evaluate
from transkd.evaluation.inference import Inference

NAMES = ("road", "sky", "car")
OPTIONS = {"model": "m", "inference": Inference(), "resolution": "label"}


@pytest.mark.parametrize(
    ("ours", "theirs", "match"),
    [
        (["traffic light", "Road", "sky"], ["ROAD", "traffic_light", "tree"], ClassMatch((0, 1), (1, 0), False)),
        (["a", "b"], ["A", "b"], ClassMatch((0, 1), (0, 1), True)),
        (["a", "b"], ["a", "b", "ignore"], ClassMatch((0, 1), (0, 1), False)),
        (["a"], ["b"], None),
        ([None] * 2, ["a", "b"], ClassMatch((0, 1), (0, 1), True)),
        ([None] * 3, ["a", "b"], None),
    ],
)
def test_classes_match_by_name_or_without_names_by_equal_counts(ours, theirs, match) -> None:
    assert match_classes(None if None in ours else ours, len(ours), theirs, len(theirs)) == match


def test_outputs_are_picked_by_name_or_by_the_release_s_extra_ignore_output():
    assert outputs_for_classes(["b", "a"], ["x", "a", "b"], 3, "m") == (2, 1)
    assert outputs_for_classes(["b", "a"], None, 2, "m") == (0, 1)
    assert outputs_for_classes(["b", "a"], None, 3, "m") == (0, 1)


def test_classes_that_a_model_lacks_are_named():
    with pytest.raises(ConfigError, match=r"out/student has other classes than the dataset: it has no 'rider', 'bus'"):
        outputs_for_classes(["car", "rider", "bus"], ["car", "tree", "sky"], 3, "out/student")
    with pytest.raises(ConfigError, match="has 150 outputs without names, but the dataset has 3 classes"):
        outputs_for_classes(["car", "rider", "bus"], None, 150, "out/student")


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
