from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.classification import MulticlassJaccardIndex

from transkd.evaluation import IGNORE_INDEX, Scores, classes_and_labels, match_resolution, score_meter
from transkd.evaluation.protocol import Protocol, labels_at, logits_at


def random_maps(classes: int, batches: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    random = torch.Generator().manual_seed(seed)
    maps = []
    for number in range(batches):
        labels = torch.randint(0, classes, (1 + number, 9, 13), generator=random, dtype=torch.uint8)
        labels[torch.rand(labels.shape, generator=random) < 0.2] = IGNORE_INDEX
        maps.append((torch.randint(0, classes, labels.shape, generator=random), labels))
    return maps


def test_scores_of_uneven_batches_equal_a_count_by_hand() -> None:
    maps = random_maps(classes=5, batches=4, seed=0)
    meter = score_meter(5)
    for predictions, labels in maps:
        meter.update(predictions, labels)
    scores = Scores.from_confusion(meter.compute(), list("abcde"))

    predictions = np.concatenate([p.numpy().ravel() for p, _ in maps])
    labels = np.concatenate([y.numpy().ravel() for _, y in maps])
    predictions, labels = predictions[labels != IGNORE_INDEX], labels[labels != IGNORE_INDEX]
    expected = []
    for k in range(5):
        both = np.sum((predictions == k) & (labels == k))
        expected.append(both / np.sum((predictions == k) | (labels == k)))
    assert list(scores.per_class.values()) == pytest.approx(expected)
    assert scores.miou == pytest.approx(np.mean(expected))
    assert scores.pixel_accuracy == pytest.approx(np.mean(predictions == labels))


def test_miou_equals_torchmetrics_jaccard() -> None:
    maps = random_maps(classes=7, batches=3, seed=1)
    meter, jaccard = score_meter(7), MulticlassJaccardIndex(7, ignore_index=IGNORE_INDEX)
    for predictions, labels in maps:
        meter.update(predictions, labels)
        jaccard.update(predictions, labels.long())
    scores = Scores.from_confusion(meter.compute(), list("abcdefg"))
    assert scores.miou == pytest.approx(float(jaccard.compute()), abs=1e-6)


def test_a_class_in_neither_labels_nor_predictions_is_left_out() -> None:
    labels = torch.tensor([[[0, 0, 1, 255]]])
    predictions = torch.tensor([[[0, 1, 1, 2]]])
    meter = score_meter(4)
    meter.update(predictions, labels)
    scores = Scores.from_confusion(meter.compute(), ["road", "car", "train", "bus"])
    assert scores.per_class == {"road": 0.5, "car": 0.5, "train": None, "bus": None}
    assert scores.miou == 0.5
    assert scores.pixel_accuracy == pytest.approx(2 / 3)


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    meter = score_meter(3)
    meter.update(torch.tensor([[[0, 2]]]), torch.tensor([[[0, 0]]]))
    scores = Scores.from_confusion(meter.compute(), ["road", "car", "train"])
    assert scores.per_class == {"road": 0.5, "car": None, "train": 0.0}
    assert scores.miou == 0.25


@pytest.mark.parametrize(("height", "width"), [(4, 8), (8, 16), (5, 11)])
def test_labels_are_resized_as_pil_resizes_to_the_nearest(height: int, width: int) -> None:
    labels = np.random.default_rng(0).integers(0, 19, (16, 32), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST))
    ours = labels_at(torch.from_numpy(labels)[None], (height, width))[0]
    assert ours.dtype == torch.uint8
    assert np.array_equal(ours.numpy(), expected)


def test_resolutions_choose_who_is_resized() -> None:
    logits, labels = torch.randn(2, 3, 4, 8), torch.randint(0, 3, (2, 16, 32), dtype=torch.uint8)
    at_logits, small = match_resolution(logits, labels, "logit")
    large, at_labels = match_resolution(logits, labels, "label")
    assert at_logits is logits
    assert small.shape == (2, 4, 8)
    assert at_labels is labels
    assert torch.equal(large, torch.nn.functional.interpolate(logits, (16, 32), mode="bilinear"))
    assert logits_at(logits, (4, 8)) is logits


def test_predicted_classes_are_of_the_largest_logit() -> None:
    logits = torch.full((1, 3, 2, 2), -1.0)
    logits[0, 2, 0, 0] = logits[0, 1, 0, 1] = logits[0, 0, 1] = 1.0
    classes, labels = classes_and_labels(logits, torch.zeros(1, 2, 2, dtype=torch.uint8), "label")
    assert classes.tolist() == [[[2, 1], [0, 0]]]
    assert labels.shape == (1, 2, 2)


def test_protocol_is_plain_values() -> None:
    protocol = Protocol(dataset="camvid", split="val", input_size=[360, 480], resolution="label", label_size="own")
    assert protocol.as_dict() == {
        "dataset": "camvid",
        "split": "val",
        "input_size": [360, 480],
        "resolution": "label",
        "label_size": "own",
        "inference": "whole",
        "crop": None,
        "stride": None,
        "scales": [1.0],
        "flip": False,
        "options": {},
        "images": None,
    }


def test_counts_are_the_same_and_cheap_where_deterministic_algorithms_are_asked_for() -> None:
    predictions, labels = random_maps(classes=4, batches=1, seed=2)[0]
    plain, strict = score_meter(4), score_meter(4)
    plain.update(predictions, labels)
    torch.use_deterministic_algorithms(True)
    try:
        strict.update(predictions, labels)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(plain.compute(), strict.compute())
    assert plain.compute().sum() == (labels != IGNORE_INDEX).sum()
