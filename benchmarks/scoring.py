"""What scoring costs beside the forward pass, and beside the one-hot way of counting.

    python benchmarks/scoring.py [--size 512 1024] [--rounds 10] [--threads 2]

The rounds are interleaved, so that what else the machine does falls on all alike; the medians' ratios are what counts.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from transkd.evaluation.scores import boundary_counts, count_images
from transkd.models import create_segmenter

CLASSES = 19


def one_hot_counts(predictions: Tensor, labels: Tensor) -> Tensor:
    """Count as the paper's published code does: one-hot maps of both, multiplied and summed class by class."""
    kept = labels != 255
    truth = functional.one_hot(labels.long().clamp_max(CLASSES), CLASSES + 1)[..., :CLASSES] * kept[..., None]
    guess = functional.one_hot(predictions, CLASSES) * kept[..., None]
    both = (truth * guess).sum((0, 1, 2))
    return torch.stack([both, truth.sum((0, 1, 2)), guess.sum((0, 1, 2))])


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 1024), metavar=("H", "W"))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    height, width = options.size
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, CLASSES, (1, 1, height // 32, width // 32), generator=generator).float()
    labels = functional.interpolate(coarse, (height, width))[:, 0].to(torch.uint8)
    predictions = labels.long().roll(5, 2)
    images = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=generator)
    model = create_segmenter("mit_b0", CLASSES).eval()
    calls: dict[str, Callable[[], object]] = {
        "forward pass (mit_b0)": lambda: model(images),
        "confusion counts of the image": lambda: count_images(predictions, labels, CLASSES),
        "boundary counts": lambda: boundary_counts(predictions, labels, CLASSES),
        "one-hot counts": lambda: one_hot_counts(predictions, labels),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for number in range(options.rounds + 1):
            for name, call in calls.items():
                taken = seconds(call)
                if number:
                    times[name].append(taken)
    forward = statistics.median(times["forward pass (mit_b0)"])
    print(f"| {height}x{width}, {options.threads} threads | ms | share of the forward pass |\n| --- | ---: | ---: |")
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"| {name} | {1e3 * middle:.1f} | {100 * middle / forward:.1f} % |")


if __name__ == "__main__":
    main()
