from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scene_files import ids, picture

from transkd.data import Pick
from transkd.data.transforms import paper, standard
from transkd.errors import DataError


def test_items(make_dataset) -> None:
    dataset = make_dataset([(picture(i), ids(i)) for i in range(3)])
    item = dataset[1]
    assert item["index"] == 1
    assert item["image"].dtype == item["label"].dtype == torch.uint8
    np.testing.assert_array_equal(item["image"].numpy(), picture(1).transpose(2, 0, 1))
    np.testing.assert_array_equal(item["label"].numpy(), ids(1))
    assert item["image"].is_contiguous()
    assert dataset[-1]["index"] == 2
    assert len(list(dataset)) == 3
    with pytest.raises(IndexError, match="sample 3 of 3"):
        dataset[3]


def test_draws_depend_on_seed_epoch_and_index_alone(make_dataset) -> None:
    pairs = [(picture(0), ids(0))] * 3
    dataset = make_dataset(pairs, standard(24, photometric=1), seed=1)
    draws = {(e, i): dataset[Pick(e, i)] for e in range(3) for i in range(3)}
    for (epoch, index), item in reversed(draws.items()):
        again = make_dataset(pairs, standard(24, photometric=1), seed=1)[Pick(epoch, index)]
        assert torch.equal(item["image"], again["image"])
        assert torch.equal(item["label"], again["label"])
    assert len({item["image"].numpy().tobytes() for item in draws.values()}) == 9
    assert torch.equal(dataset[2]["image"], draws[0, 2]["image"])
    other_run = make_dataset(pairs, standard(24, photometric=1), seed=2)
    assert not torch.equal(other_run[0]["image"], draws[0, 0]["image"])


def test_padding_is_ignored_altogether(make_dataset) -> None:
    dataset = make_dataset([(picture(0), ids(0))], paper(24))
    item = dataset[Pick(0, 0, padding=True)]
    assert item["label"].unique().tolist() == [255]
    assert torch.equal(item["image"], dataset[0]["image"])


def test_label_of_another_size_than_its_image(make_dataset) -> None:
    dataset = make_dataset([(picture(0, (24, 32)), ids(0, size=(32, 24)))])
    message = r"label_000\.png: the label is 32x24 pixels .*image_000\.png is 24x32"
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_files_of_a_batch_are_named(make_dataset, tmp_path: Path) -> None:
    dataset = make_dataset([(picture(i), ids(i)) for i in range(3)])
    expected = [str(tmp_path / "image_002.png"), str(tmp_path / "image_000.png")]
    assert dataset.file_names(torch.tensor([2, 0])) == dataset.file_names([2, 0]) == expected
