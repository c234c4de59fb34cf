"""The memory of CIRKD against one that keeps lists, and what an image puts into it."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch

from transkd.distillation.cirkd import BalancedMemory, evenly, occurrence, random_pixels, regions


def _numbered(labels: list[int], start: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors that tell which they are, and their labels."""
    numbers = torch.arange(start, start + len(labels), dtype=torch.float32)
    return torch.stack((numbers, -numbers), 1), torch.tensor(labels)


def _shares(seen: Counter[int], size: int) -> dict[int, int]:
    """Room of each label when it is given out one place at a time to the label that has least."""
    room: Counter[int] = Counter()
    while sum(room.values()) < min(size, sum(seen.values())):
        room[min((label for label in seen if room[label] < seen[label]), key=lambda label: room[label])] += 1
    return room


def _held(memory: BalancedMemory) -> dict[int, list[int]]:
    held = defaultdict(list)
    for vector, label in zip(memory.vectors.tolist(), memory.labels.tolist(), strict=True):
        if label != 255:
            assert vector[0] == -vector[1]
            held[label].append(int(vector[0]))
    return held


def test_occurrence_counts_what_came_before_of_the_same_group() -> None:
    groups = torch.randint(7, (200,))
    seen: Counter[int] = Counter()
    expected = []
    for group in groups.tolist():
        expected.append(seen[group])
        seen[group] += 1
    assert occurrence(groups).tolist() == expected


@pytest.mark.parametrize("count", [1, 10, 45, 200, 500])
def test_evenly_takes_the_first_of_each_label(count: int) -> None:
    labels = torch.tensor([0] * 100 + [1] * 7 + [2] * 30 + [255] * 60 + [3])[torch.randperm(198)]
    chosen = evenly(labels, count).tolist()
    assert len(chosen) == len(set(chosen)) == min(count, 198)
    seen = Counter(labels.tolist())
    empty = seen.pop(255)
    taken = Counter(labels[i].item() for i in chosen)
    assert taken.pop(255, 0) == max(0, min(count - 138, empty))
    expected = _shares(seen, count)
    assert sorted(taken.values()) == sorted(expected.values())  # who has one more is not said
    assert all(abs(taken[label] - expected[label]) <= 1 for label in seen)
    for label, share in taken.items():
        assert [i for i in chosen if labels[i] == label] == (labels == label).nonzero().flatten().tolist()[:share]


@pytest.mark.parametrize("size", [1, 5, 12, 40])
def test_it_holds_the_newest_of_each_class_in_even_shares(size: int) -> None:
    memory = BalancedMemory(size, 2)
    random = np.random.default_rng(0)
    newest: dict[int, list[int]] = defaultdict(list)
    start = 0
    for _ in range(12):
        labels = random.choice([0, 1, 2, 7, 255], p=[0.6, 0.2, 0.05, 0.05, 0.1], size=6).tolist()
        memory(*_numbered(labels, start), 1)
        arrivals: dict[int, list[int]] = defaultdict(list)
        for number, label in enumerate(labels, start):
            arrivals[label].append(number)
        for label, numbers in arrivals.items():
            if label != 255:
                newest[label] = numbers + newest[label]
        start += len(labels)
        held = _held(memory)
        assert sum(map(len, held.values())) == min(size, sum(map(len, newest.values())))
        for label, numbers in held.items():
            assert numbers == newest[label][: len(numbers)]
        fullest = max(map(len, held.values()))
        for label, numbers in newest.items():  # what is not held had no room, or was let go when there was none
            assert len(held[label]) >= min(len(numbers), fullest - 1) or size < start
        newest = {label: numbers[: len(held[label])] for label, numbers in newest.items()}
        newest = defaultdict(list, newest)


def test_a_rare_class_is_not_driven_out() -> None:
    memory = BalancedMemory(20, 2)
    memory(*_numbered([9] * 4), 1)
    for step in range(50):
        memory(*_numbered([0] * 16, 100 + 16 * step), 1)
    assert _held(memory)[9] == [0, 1, 2, 3]
    assert len(_held(memory)[0]) == 16
    memory(*_numbered([9] * 30, 2000), 1)
    assert {label: len(numbers) for label, numbers in _held(memory).items()} == {0: 10, 9: 10}


def test_a_draw_is_random_even_and_says_what_is_empty() -> None:
    memory = BalancedMemory(64, 2)
    new = _numbered([0] * 30 + [1] * 10 + [2] * 2)
    vectors, there = memory(*new, 12)
    drawn = Counter(new[1][int(v)].item() for v in vectors[there, 0])
    assert there.all()
    assert drawn == {0: 5, 1: 5, 2: 2}
    empty = torch.empty(0, 2), torch.empty(0, dtype=torch.int64)
    again = memory(*empty, 12)[0]
    assert sorted(vectors[:, 0].tolist()) != sorted(again[:, 0].tolist())
    vectors, there = memory(*empty, 500)
    assert (len(vectors), there.sum()) == (64, 42)
    assert sorted(vectors[there, 0].tolist()) == list(range(42))


def test_evaluation_leaves_it_as_it_was_but_draws_from_what_is_new() -> None:
    memory = BalancedMemory(8, 2).eval()
    _, there = memory(*_numbered([0] * 5), 8)
    assert there.sum() == 5
    assert memory.labels.eq(255).all()
    assert not memory.vectors.any()


def test_what_is_held_keeps_no_graph_and_no_hold_on_what_came() -> None:
    memory = BalancedMemory(4, 2)
    vectors, labels = _numbered([0, 1])
    drawn, _ = memory(vectors.requires_grad_(), labels, 2)
    vectors.data.zero_()
    assert not drawn.requires_grad
    assert not memory.vectors.requires_grad
    assert _held(memory) == {0: [0], 1: [1]}


@pytest.mark.parametrize("count", [1, 3, 100])
def test_random_pixels_are_of_their_class_and_image(count: int) -> None:
    labels = torch.randint(4, (3, 50))
    labels[labels == 3] = 255
    labels[1, labels[1] == 2] = 0
    vectors = torch.stack((torch.arange(150).view(3, 50), labels), 2).float()
    found, classes = random_pixels(vectors, labels, count)
    assert torch.equal(found[:, 0].sort().values, torch.arange(150.0))
    chosen = classes != 255
    assert torch.equal(found[chosen, 1].long(), classes[chosen])
    images = found[chosen, 0].long() // 50
    taken = Counter(zip(images.tolist(), classes[chosen].tolist(), strict=True))
    present = Counter((b, label) for b in range(3) for label in labels[b].tolist() if label != 255)
    assert taken == {key: min(count, there) for key, there in present.items()}
    if count == 1:
        assert found[chosen, 0].tolist() != random_pixels(vectors, labels, count)[0][chosen, 0].tolist()


def test_regions_are_the_normalised_means_of_the_classes_of_an_image() -> None:
    labels = torch.tensor([[0, 0, 5, 255], [5, 5, 5, 254]])
    vectors = torch.randn(2, 4, 3)
    found, classes = regions(vectors, labels)
    there = classes != 255
    assert classes[there].tolist() == [0, 5, 5, 254]
    array = vectors.double().numpy()
    means = np.stack([array[0, :2].mean(0), array[0, 2], array[1, :3].mean(0), array[1, 3]])
    expected = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(found[there].numpy(), expected, rtol=1e-5)
