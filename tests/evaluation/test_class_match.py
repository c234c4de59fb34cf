"""Classes matched by name, and scores over them, against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from transkd.errors import ConfigError
from transkd.evaluation import match_classes, outputs_for_classes, score_model, select_outputs
from transkd.evaluation.class_match import ClassMatch


def test_names_match_whatever_their_case_and_gaps():
    match = match_classes(["traffic light", "Road", "sky"], 3, ["ROAD", "traffic_light", "tree"], 3)
    assert match == ClassMatch(ours=(0, 1), theirs=(1, 0), complete=False)


def test_without_names_only_equal_counts_match():
    assert match_classes(None, 3, ["a", "b", "c"], 3) == ClassMatch((0, 1, 2), (0, 1, 2), True)
    assert match_classes(None, 3, ["a", "b"], 2) is None


def test_the_same_names_in_the_same_order_are_complete_and_a_longer_list_is_not():
    assert match_classes(["a", "b"], 2, ["A", "b"], 2).complete
    assert not match_classes(["a", "b"], 2, ["a", "b", "ignore"], 3).complete
    assert match_classes(["a"], 1, ["b"], 1) is None


def test_outputs_are_picked_by_name_or_by_the_release_s_extra_ignore_output():
    assert outputs_for_classes(["b", "a"], ["x", "a", "b"], 3, "m") == (2, 1)
    assert outputs_for_classes(["b", "a"], None, 2, "m") == (0, 1)
    assert outputs_for_classes(["b", "a"], None, 3, "m") == (0, 1)


def test_classes_that_a_model_lacks_are_named():
    with pytest.raises(ConfigError, match=r"out/student has other classes than the dataset: it has no 'rider', 'bus'"):
        outputs_for_classes(["car", "rider", "bus"], ["car", "tree", "sky"], 3, "out/student")
    with pytest.raises(ConfigError, match="has 150 outputs without names, but the dataset has 3 classes"):
        outputs_for_classes(["car", "rider", "bus"], None, 150, "out/student")


def test_selected_logits_are_in_the_order_asked_for():
    logits = torch.randn(2, 4, 3, 3)
    assert torch.equal(select_outputs(logits, (3, 1)), logits[:, [3, 1]])
    assert select_outputs(logits, range(4)) is logits


def test_scores_over_uneven_batches_are_those_of_all_pixels_by_hand():
    rng = np.random.default_rng(0)
    labels = [torch.from_numpy(rng.integers(0, 3, (n, 6, 8)).astype(np.uint8)) for n in (3, 1)]
    labels[0][0, 0] = 255
    images = [torch.from_numpy(rng.random((n, 4, 6, 8), dtype=np.float32)) for n in (3, 1)]
    batches = [{"image": i, "label": t} for i, t in zip(images, labels, strict=True)]
    scores = score_model(lambda x: x, batches, ["a", "b", "c"], outputs=(3, 0, 2))
    predicted = np.concatenate([i.numpy()[:, [3, 0, 2]].argmax(1).ravel() for i in images])
    truth = np.concatenate([t.numpy().ravel() for t in labels])
    kept = truth != 255
    for k, name in enumerate("abc"):
        hits = ((predicted == k) & (truth == k) & kept).sum()
        union = (((predicted == k) | (truth == k)) & kept).sum()
        assert scores.per_class[name] == pytest.approx(hits / union)
    assert scores.pixel_accuracy == pytest.approx((predicted == truth)[kept].mean())
