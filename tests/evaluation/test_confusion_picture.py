from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from written_names import Written

from transkd.evaluation.pictures import BACKGROUND, CAPTION, EMPTY, FULL, MANY, NO_LABELS, confusion_picture


def colours_in(pixels: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in np.unique(pixels.reshape(-1, 3), axis=0).tolist()}


@pytest.mark.parametrize(("count", "copies"), [(11, 1), (19, 1), (150, 2)])
def test_every_name_stands_beside_its_row_and_above_its_column(count: int, copies: int, written: Written) -> None:
    names = [f"class number {k}" for k in range(count)]
    names[1] = "a class with quite a long name"
    picture = np.asarray(confusion_picture(torch.eye(count) * 7, names))
    assert (copies == 2) == (count > MANY)
    assert Counter(text for text in written.whole() if text in names) == dict.fromkeys(names, copies + 1)
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == BACKGROUND).all()


def test_shares_are_of_the_row_and_a_row_without_labels_is_grey() -> None:
    picture = np.asarray(confusion_picture(torch.tensor([[30, 10], [0, 0]]), ["a", "b"]))
    expected = {tuple(np.rint(EMPTY + share**0.6 * (FULL - EMPTY)).astype(int).tolist()) for share in (0.75, 0.25)}
    assert expected <= colours_in(picture)
    labelled = np.asarray(confusion_picture(torch.tensor([[30, 10], [0, 1]]), ["a", "b"]))
    grey, without = ((pixels == NO_LABELS).all(2).sum() for pixels in (picture, labelled))
    assert grey > 2 * 30 * 30 - 100
    assert without < 20


def test_shares_are_written_in_percent_where_they_round_to_one(written: Written) -> None:
    confusion_picture(torch.tensor([[995, 5, 0], [0, 980, 20], [6, 0, 994]]), ["a", "b", "c"])
    assert [text for text in written.whole() if text.isdigit()] == ["100", "98", "2", "1", "99"]


def test_the_words_above_a_small_matrix_are_not_cut(written: Written) -> None:
    confusion_picture(torch.eye(2), ["a", "b"])
    assert written.whole()[:2] == list(CAPTION)
