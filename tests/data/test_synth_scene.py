from __future__ import annotations

import numpy as np
import pytest

from transkd.data.synth import Scene, draw_scene
from transkd.data.synth.writer import colourise
from transkd.errors import ConfigError

# Cityscapes' own table (cityscapesScripts, labels.py), written out here and not taken from the package.
TRAIN_IDS = {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}
ROAD, BUILDING, SKY, CAR = 7, 11, 23, 26


def draw(seed: int, height: int = 64, width: int = 128) -> Scene:
    return draw_scene(np.random.default_rng(seed), height, width)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw(seed) for seed in range(60)]


@pytest.mark.parametrize("size", [(64, 64), (65, 131), (240, 90)])
def test_scene_has_the_requested_size(size: tuple[int, int]) -> None:
    scene = draw(3, *size)
    assert scene.image.shape == (*size, 3)
    assert scene.labels.shape == size
    assert scene.image.dtype == scene.labels.dtype == np.uint8


@pytest.mark.parametrize("size", [(63, 128), (128, 32), (5000, 128)])
def test_impossible_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="size: synthetic scenes are 64 to 4096 pixels high and wide, got height"):
        draw(0, *size)


def test_equal_generators_give_equal_scenes_and_others_differ(scenes: list[Scene]) -> None:
    again = draw(11)
    assert np.array_equal(again.image, scenes[11].image)
    assert np.array_equal(again.labels, scenes[11].labels)
    assert len({scene.image.tobytes() for scene in scenes}) == len({scene.labels.tobytes() for scene in scenes}) == 60


def test_a_street_looks_alike_at_another_size() -> None:
    small, large = draw(5, 64, 128).labels, draw(5, 256, 512).labels[::4, ::4]
    assert (small == large).mean() > 0.85


def test_all_classes_occur_and_no_other_label(scenes: list[Scene]) -> None:
    counts = np.bincount(np.stack([scene.labels for scene in scenes]).ravel(), minlength=256)
    assert set(np.flatnonzero(counts).tolist()) == TRAIN_IDS
    assert counts[ROAD] > 0.15 * counts.sum()


def test_image_follows_labels(scenes: list[Scene]) -> None:
    """Edges of the image lie where labels change far more often than elsewhere."""
    on_edge, elsewhere = [], []
    for scene in scenes[:30]:
        step = np.abs(np.diff(scene.image.astype(np.float32).mean(axis=2), axis=1))
        change = np.diff(scene.labels.astype(np.int16), axis=1) != 0
        on_edge.append(step[change].mean())
        elsewhere.append(step[~change].mean())
    assert np.mean(on_edge) > 2 * np.mean(elsewhere)


def test_colours_are_those_of_cityscapes() -> None:
    picture = colourise(np.array([[ROAD, SKY, CAR, 0]], np.uint8))
    assert picture.tolist() == [[[128, 64, 128], [70, 130, 180], [0, 0, 142], [0, 0, 0]]]
