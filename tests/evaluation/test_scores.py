"""Scores and counts, against torchmetrics, numpy, PIL and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torchmetrics.classification import MulticlassJaccardIndex

from transkd.evaluation import IGNORE_INDEX, Scores, score_meter
from transkd.evaluation.protocol import labels_at
from transkd.evaluation.scores import (
    ImageCounts,
    bootstrap_interval,
    boundary_counts,
    boundary_distance,
    class_accuracies,
    class_ious,
    count_images,
    frequency_weighted_iou,
    mean_iou,
)


def maps(seed: int, images: int = 5, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    predictions = torch.from_numpy(rng.integers(0, classes, (images, 12, 17)))
    labels = torch.from_numpy(rng.integers(0, classes, (images, 12, 17)).astype(np.uint8))
    labels[:, :2] = 255
    return predictions, labels


def test_counts_of_each_image_are_those_of_numpy():
    predictions, labels = maps(0)
    counts = count_images(predictions, labels, 4)
    for image in range(5):
        expected = np.zeros((4, 4), int)
        for truth, guess in zip(labels[image].flatten().tolist(), predictions[image].flatten().tolist(), strict=True):
            if truth != 255:
                expected[truth, guess] += 1
        assert np.array_equal(counts[image].numpy(), expected)


def test_mean_iou_over_uneven_batches_is_torchmetrics_jaccard():
    predictions, labels = maps(1)
    meter = ImageCounts(4, 4)
    meter.update(count_images(predictions[:3], labels[:3], 4), torch.tensor([4, 2, 0]))
    meter.update(count_images(predictions[3:], labels[3:], 4), torch.tensor([1, 3]))
    matrices, indices = meter.compute()
    assert indices.tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(matrices[4], count_images(predictions[:1], labels[:1], 4)[0])
    oracle = MulticlassJaccardIndex(4, ignore_index=255, average="none")
    assert torch.allclose(class_ious(matrices.sum(0)).float(), oracle(predictions, labels.long()))
    assert float(mean_iou(matrices.sum(0))) == pytest.approx(float(oracle(predictions, labels.long()).mean()))


def test_an_image_that_padding_repeats_counts_once():
    predictions, labels = maps(2, images=2)
    meter = ImageCounts(4, 4)
    meter.update(count_images(predictions, labels, 4), torch.tensor([0, 1]))
    meter.update(count_images(predictions[:1], torch.full_like(labels[:1], 255), 4), torch.tensor([0]))
    matrices, _ = meter.compute()
    assert torch.equal(matrices, count_images(predictions, labels, 4))


def test_measures_by_hand():
    confusion = torch.tensor([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    assert class_ious(confusion)[:2].tolist() == pytest.approx([6 / 9, 3 / 6])
    assert class_ious(confusion)[2].isnan()
    assert float(mean_iou(confusion)) == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert class_accuracies(confusion)[:2].tolist() == pytest.approx([6 / 8, 3 / 4])
    assert frequency_weighted_iou(confusion) == pytest.approx(8 / 12 * 6 / 9 + 4 / 12 * 3 / 6)


def test_the_interval_holds_the_score_and_is_that_of_a_plain_bootstrap():
    predictions, labels = maps(3, images=40)
    predictions[:20] = labels[:20].long().clamp(max=3)
    matrices = count_images(predictions, labels, 4)
    low, high = bootstrap_interval(matrices, resamples=2000)
    rng = np.random.default_rng(1)
    scores = [float(mean_iou(matrices[torch.from_numpy(rng.integers(0, 40, 40))].sum(0))) for _ in range(2000)]
    assert (low, high) == pytest.approx(tuple(np.percentile(scores, [2.5, 97.5])), abs=0.02)
    assert low < float(mean_iou(matrices.sum(0))) < high
    assert bootstrap_interval(matrices, resamples=50) == bootstrap_interval(matrices, resamples=50)
    assert bootstrap_interval(matrices[:1]) is None
    unlabelled = torch.zeros(9, 4, 4, dtype=matrices.dtype)
    assert bootstrap_interval(torch.cat([unlabelled, matrices])) == bootstrap_interval(matrices)


def test_boundary_iou_is_that_of_eroded_masks():
    rng = np.random.default_rng(5)
    labels = np.kron(rng.integers(0, 3, (6, 8)), np.ones((9, 9), int)).astype(np.uint8)
    predictions = np.roll(labels, 2, axis=1)
    labels[20:30, 20:40] = 255
    distance = boundary_distance(*labels.shape)
    counts = boundary_counts(torch.from_numpy(predictions.astype(int))[None], torch.from_numpy(labels)[None], 3)[0]
    square = np.ones((3, 3), bool)
    predictions = np.where(labels == 255, 255, predictions)
    for k in range(3):
        regions = []
        for ids in (labels, predictions):
            mask = ids == k
            inner = ndimage.binary_erosion(mask, square, iterations=distance, border_value=0)
            regions.append(mask & ~inner)
        assert counts[0, k] == (regions[0] & regions[1]).sum()
        assert counts[1, k] == (regions[0] | regions[1]).sum()


def test_scores_of_uneven_batches_equal_a_count_by_hand() -> None:
    batches = [maps(seed, images=1 + seed, classes=5) for seed in range(4)]
    meter = score_meter(5)
    for predictions, labels in batches:
        meter.update(predictions, labels)
    scores = Scores.from_confusion(meter.compute(), list("abcde"))

    predictions = np.concatenate([p.numpy().ravel() for p, _ in batches])
    labels = np.concatenate([y.numpy().ravel() for _, y in batches])
    predictions, labels = predictions[labels != IGNORE_INDEX], labels[labels != IGNORE_INDEX]
    expected = []
    for k in range(5):
        both = np.sum((predictions == k) & (labels == k))
        expected.append(both / np.sum((predictions == k) | (labels == k)))
    assert list(scores.per_class.values()) == pytest.approx(expected)
    assert scores.miou == pytest.approx(np.mean(expected))
    assert scores.pixel_accuracy == pytest.approx(np.mean(predictions == labels))


def test_a_class_in_neither_is_left_out_and_one_that_is_only_predicted_counts_as_zero() -> None:
    meter = score_meter(4)
    meter.update(torch.tensor([[[0, 1, 1, 2]]]), torch.tensor([[[0, 0, 1, 255]]]))
    scores = Scores.from_confusion(meter.compute(), ["road", "car", "train", "bus"])
    assert scores.per_class == {"road": 0.5, "car": 0.5, "train": None, "bus": None}
    assert (scores.miou, scores.pixel_accuracy) == (0.5, pytest.approx(2 / 3))
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


def test_counts_are_the_same_and_cheap_where_deterministic_algorithms_are_asked_for() -> None:
    predictions, labels = maps(2)
    plain, strict = score_meter(4), score_meter(4)
    plain.update(predictions, labels)
    torch.use_deterministic_algorithms(True)
    try:
        strict.update(predictions, labels)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(plain.compute(), strict.compute())
    assert plain.compute().sum() == (labels != IGNORE_INDEX).sum()
