"""Pictures of a validation scene: image, label, and what models make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import transkd
from transkd.errors import ConfigError
from transkd.evaluation.pictures import LEGEND_MARGIN as MARGIN
from transkd.evaluation.pictures import TITLE_HEIGHT


@pytest.fixture(scope="module")
def data(scenes_root: Path) -> transkd.SceneDataModule:
    return transkd.SceneDataModule("cityscapes", scenes_root, size=[64, 64], workers=0)


def panel(picture: object, place: int) -> np.ndarray:
    left = MARGIN + place * (64 + MARGIN)
    return np.asarray(picture)[TITLE_HEIGHT : TITLE_HEIGHT + 64, left : left + 64]


def test_panels_hold_image_label_and_predictions(data: transkd.SceneDataModule) -> None:
    torch.manual_seed(0)
    model = transkd.create_segmenter("tiny", 19, dropout=0.5).train()
    picture = transkd.draw_predictions(data, {"student": model}, scene=2, panel_width=64)
    sample = data.val_dataset[2]
    palette = np.array([*data.classes.palette, *[(0, 0, 0)] * (256 - len(data.classes.palette))], np.uint8)
    assert np.array_equal(panel(picture, 0), sample["image"].permute(1, 2, 0).numpy())
    assert np.array_equal(panel(picture, 1), palette[sample["label"].numpy()])
    assert model.training
    with torch.no_grad():
        predicted = model.eval().predict(sample["image"][None])[0].numpy()
    assert np.array_equal(panel(picture, 2), palette[predicted])


def test_a_scene_beyond_the_split_is_refused(data: transkd.SceneDataModule) -> None:
    with pytest.raises(ConfigError, match="scene 5: the validation split has 5, from 0 to 4"):
        transkd.draw_predictions(data, {}, scene=5)


def test_a_model_of_other_classes_is_refused(data: transkd.SceneDataModule) -> None:
    with pytest.raises(ConfigError, match="the teacher has 3 classes, and the data has 19"):
        transkd.draw_predictions(data, {"the teacher": transkd.create_segmenter("tiny", 3)})
