from __future__ import annotations

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from transkd.data.transforms import MEAN_COLOUR, build_transform, evaluation, paper, standard
from transkd.errors import ConfigError


def pattern(height: int = 60, width: int = 100, block: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """A label of blocks with ids 0..18, and a picture whose colours say the id: red = 10 * id + 40."""
    small = np.random.default_rng(5).integers(0, 19, (height // block, width // block), dtype=np.uint8)
    label = np.kron(small, np.ones((block, block), np.uint8))
    image = np.stack([label * 10 + 40, 250 - label * 10, np.full_like(label, 77)], axis=-1)
    return image, label


def test_paper_is_resize_flip_and_shift_in_register() -> None:
    image, label = pattern()
    recipe = paper(60)
    seen = set()
    for seed in range(400):
        new_image, new_label = recipe(image, label, seed)
        assert new_image.shape == image.shape
        assert new_label.dtype == np.uint8
        matches = []
        for flipped in (False, True):
            source_image, source_label = (a[:, ::-1] if flipped else a for a in (image, label))
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    expected_image, expected_label = np.zeros_like(image), np.full_like(label, 255)
                    to = (slice(max(dy, 0), 60 + min(dy, 0)), slice(max(dx, 0), 100 + min(dx, 0)))
                    start = (slice(max(-dy, 0), 60 + min(-dy, 0)), slice(max(-dx, 0), 100 + min(-dx, 0)))
                    expected_image[to], expected_label[to] = source_image[start], source_label[start]
                    if np.array_equal(new_label, expected_label) and np.array_equal(new_image, expected_image):
                        matches.append((flipped, dy, dx))
        assert len(matches) == 1, f"seed {seed}: image and label are not one and the same shift of the originals"
        seen.add(matches[0])
    assert len(seen) == 50, "not every flip and shift of up to 2 pixels occurs"


def test_paper_resizes_to_the_short_side() -> None:
    image, label = pattern(100, 200)
    new_image, new_label = paper(50, flip=0, shift=0)(image, label, 0)
    assert new_image.shape == (50, 100, 3)
    np.testing.assert_array_equal(new_label, label[::2, ::2])
    np.testing.assert_array_equal(new_image, image[::2, ::2])


def test_standard_keeps_image_and_label_in_register() -> None:
    image, label = pattern(120, 200, block=40)
    recipe = standard(120, crop=(96, 160), photometric=0)
    sides, paddings = set(), 0
    for seed in range(60):
        new_image, new_label = recipe(image, label, seed)
        assert new_image.shape == (96, 160, 3)
        assert new_label.shape == (96, 160)
        assert set(np.unique(new_label)) <= {*range(19), 255}
        padded = new_label == 255
        paddings += bool(padded.any())
        if padded.any():
            assert (np.abs(new_image[padded].astype(int) - MEAN_COLOUR) <= 0).all(), "padding is not the mean colour"
            sides.add(int((~padded).any(axis=1).sum()))
        colour_id = (new_image[..., 0].astype(float) - 40) / 10
        agree = np.abs(colour_id - new_label)[~padded] < 0.5
        assert agree.mean() > 0.9, f"seed {seed}: colours and ids disagree"
    assert 10 < paddings < 60
    assert len(sides) > 5


def test_standard_changes_colours_of_images_only() -> None:
    image, label = pattern()
    new_image, new_label = standard(60, crop=(60, 100), scale=(1, 1), flip=0, photometric=1)(image, label, 1)
    np.testing.assert_array_equal(new_label, label)
    assert new_image.dtype == np.uint8
    assert np.abs(new_image.astype(int) - image).max() > 5
    same_image, _ = standard(60, crop=(60, 100), scale=(1, 1), flip=0, photometric=0)(image, label, 1)
    np.testing.assert_array_equal(same_image, image)


def test_none_and_evaluation_only_resize() -> None:
    image, label = pattern(60, 100)
    new_image, new_label = build_transform("none", [30, 40])(image, label, 0)
    assert (new_image.shape, new_label.shape) == ((30, 40, 3), (30, 40))
    new_image, new_label = evaluation(30, label_size="own")(image, label, 0)
    assert new_image.shape == (30, 50, 3)
    np.testing.assert_array_equal(new_label, label)
    for unresized in (evaluation(None), build_transform("none", "native")):
        np.testing.assert_array_equal(unresized(image, label, 0)[0], image)
        np.testing.assert_array_equal(unresized(image, label, 0)[1], label)


def test_nearest_labels_take_pixel_centres() -> None:
    label = np.arange(7 * 9, dtype=np.uint8).reshape(7, 9)
    image = np.repeat(label[..., None], 3, 2)
    _, new = evaluation((14, 27))(image, label, 0)
    np.testing.assert_array_equal(new, label.repeat(2, 0).repeat(3, 1))
    _, new = evaluation((7, 3))(image, label, 0)
    np.testing.assert_array_equal(new, label[:, 1::3])


@pytest.mark.parametrize("recipe", ["paper", "standard"])
def test_results_depend_on_the_seed_alone(recipe: str) -> None:
    image, label = pattern()
    one, other = build_transform(recipe, 48), pickle.loads(pickle.dumps(build_transform(recipe, 48)))
    np.random.seed(1)
    expected = np.random.random()
    np.random.seed(1)
    in_order = {seed: one(image, label, seed) for seed in range(12)}
    assert np.random.random() == expected, "the global random state is left alone"
    for seed in reversed(range(12)):
        for a, b in zip(in_order[seed], other(image, label, seed), strict=True):
            np.testing.assert_array_equal(a, b)
    assert len({result[0].tobytes() for result in in_order.values()}) > 6


@pytest.mark.parametrize(
    ("recipe", "size", "options", "message"),
    [
        ("papper", 64, {}, "'papper': recipe: there is no such choice; did you mean 'paper'"),
        ("paper", 64, {"shfit": 3}, "options.shfit: there is no such key; did you mean 'shift'"),
        ("none", 64, {"flip": 0.5}, "options.flip: there is no such key; it takes none"),
        ("paper", 64, {"flip": 1.5}, "options.flip: give 1 or less"),
        ("paper", 64, {"shift": -1}, "options.shift: give 0 or more"),
        ("standard", 64, {"scale": [2, 1]}, r"options.scale: give a range .* above 0 \(it is \[2, 1\]\)"),
        ("standard", 64, {"hue": 0.7}, "options.hue: give 0.5 or less"),
        ("standard", 64, {"crop": 16}, "options.crop: give a side in pixels .*, 32 or more"),
        ("standard", "native", {}, "needs a size"),
        ("none", "big", {}, "size='big' is no size"),
        ("none", [64], {}, r"size=\[64\] is no size"),
        ("none", 3.5, {}, "size=3.5 is no size"),
        ("none", True, {}, "size=True is no size"),
    ],
)
def test_options_that_make_no_sense(recipe: str, size: object, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_transform(recipe, size, **options)


@pytest.mark.slow
def test_importing_asks_no_registry_and_keeps_opencv_to_one_thread() -> None:
    code = (
        "import urllib.request as u, socket\n"
        "def refuse(*a, **k): raise SystemExit('went out')\n"
        "u.urlopen = u.OpenerDirector.open = socket.socket.connect = refuse\n"
        "import transkd.data.transforms, cv2\n"
        "print(cv2.getNumThreads())"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
