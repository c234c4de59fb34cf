"""Scores against those of Cityscapes' own evaluator, on files in its format."""

from __future__ import annotations

from pathlib import Path

import cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling as official  # noqa: N813
import numpy as np
import pytest
import torch
from cityscapesscripts.helpers.labels import name2label
from PIL import Image

from transkd.data.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS
from transkd.evaluation.scores import category_ious, class_ious, count_images, mean_iou

RAW_IDS = {train: raw for raw, train in CITYSCAPES_LABEL_IDS.items() if train != 255}


def blocks(rng: np.random.Generator, ids: list[int]) -> np.ndarray:
    return np.kron(rng.choice(ids, (8, 16)), np.ones((8, 8), int)).astype(np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[list[str], list[str]]:
    """Three predictions and labels as the benchmark has them: raw label ids, void among the labels."""
    rng = np.random.default_rng(0)
    predictions, labels = [], []
    for number in range(3):
        label = blocks(rng, list(range(34)))
        predicted = np.where(rng.random(label.shape) < 0.6, label, blocks(rng, list(RAW_IDS.values())))
        predicted = np.where(np.isin(predicted, list(RAW_IDS.values())), predicted, 7).astype(np.uint8)
        name = f"frankfurt_{number:06d}_000019"
        labels.append(str(tmp_path / f"{name}_gtFine_labelIds.png"))
        predictions.append(str(tmp_path / f"{name}_prediction.png"))
        Image.fromarray(label).save(labels[-1])
        Image.fromarray(predicted).save(predictions[-1])
    return predictions, labels


def test_class_and_category_scores_are_those_of_the_benchmark(pairs, monkeypatch) -> None:
    monkeypatch.setattr(official.args, "evalInstLevelScore", False)
    monkeypatch.setattr(official.args, "quiet", True)
    monkeypatch.setattr(official.args, "JSONOutput", False)
    theirs = official.evaluateImgLists(*pairs, official.args)
    table = np.full(256, 255, np.uint8)
    for raw, train in CITYSCAPES_LABEL_IDS.items():
        if raw >= 0:
            table[raw] = train
    predicted, labels = (
        torch.from_numpy(np.stack([table[np.asarray(Image.open(p))] for p in files])) for files in pairs
    )
    confusion = count_images(predicted.long(), labels, 19).sum(0)
    ours = dict(zip(CITYSCAPES.names, class_ious(confusion).tolist(), strict=True))
    for name, score in ours.items():
        assert theirs["classScores"][name] == pytest.approx(score), name
    assert theirs["averageScoreClasses"] == pytest.approx(float(mean_iou(confusion)))
    assert CITYSCAPES.categories is not None
    categories = dict(zip(CITYSCAPES.names, CITYSCAPES.categories, strict=True))
    assert categories == {name: name2label[name].category for name in CITYSCAPES.names}
    by_category = category_ious(confusion, CITYSCAPES.names, categories)
    assert {name: theirs["categoryScores"][name] for name in by_category} == pytest.approx(by_category)
    assert len(by_category) == 7
    assert theirs["averageScoreCategories"] == pytest.approx(sum(by_category.values()) / 7)
