"""Peak memory of training on a CPU, by method, size, batch and precision: the table of docs/guides/making_it_fit.md.

    python benchmarks/training_memory.py | python scripts/fill.py docs/guides/making_it_fit.md memory
    python benchmarks/training_memory.py --point mit_b0,transkd_ea,4,512x1024,bf16-mixed,logit,19

A point is what trains, how (none, or losses under a frozen MiT-B2), batch, height x width, precision, where the
cross-entropy is taken, and classes. Each is trained for a few steps by Lightning in a process of its own, on images of
noise, since contents do not change sizes. "training" is the growth of the peak of the resident set over what the
process held before the networks were made: weights, optimiser, activations, gradients. "process" is the whole of it,
libraries included. Workers of a loader come on top; there are none here.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import warnings
from typing import NamedTuple

TEACHER = "mit_b2"
LOSSES = {
    "none": {},
    "transkd_ea": {"csf": 1.0, "ea": 1.0},
}
COLUMNS = ("trains", "method", "size", "batch", "precision", "cross-entropy at", "training, MB", "process, MB")


class Point(NamedTuple):
    """One training to measure."""

    student: str
    method: str
    batch: int
    size: tuple[int, int]
    precision: str
    resolution: str
    classes: int


POINTS = (
    "mit_b0,transkd_ea,1,512x1024,32-true,logit,19",
    "mit_b0,transkd_ea,2,512x1024,32-true,logit,19",
    "mit_b0,transkd_ea,4,512x1024,32-true,logit,19",
    "mit_b0,transkd_ea,2,512x1024,bf16-mixed,logit,19",
    "mit_b0,transkd_ea,2,512x1024,32-true,label,19",
    "mit_b0,transkd_ea,2,256x512,32-true,logit,19",
    "mit_b0,none,2,512x1024,32-true,logit,19",
    "mit_b2,none,2,512x1024,32-true,logit,19",
    "mit_b0,transkd_ea,8,360x480,32-true,label,11",
    "mit_b0,transkd_ea,8,360x480,bf16-mixed,label,11",
    "mit_b0,transkd_ea,4,512x512,32-true,label,21",
)


def point_of(text: str) -> Point:
    """Read a point as the command line has it."""
    student, method, batch, size, precision, resolution, classes = text.split(",")
    height, width = size.split("x")
    return Point(student, method, int(batch), (int(height), int(width)), precision, resolution, int(classes))


def measure(point: Point, steps: int, threads: int) -> dict[str, float]:
    """Train a few steps in this process; return both peaks in 10^6 bytes."""
    import lightning
    import torch
    from torch.utils.data import DataLoader

    import transkd
    from transkd.evaluation.cost import peak_bytes, start_peak

    warnings.simplefilter("ignore")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        precision=point.precision,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    before = start_peak()
    student = transkd.create_segmenter(point.student, point.classes)
    teacher = transkd.create_segmenter(TEACHER, point.classes) if point.method != "none" else student
    options = {"loss_resolution": point.resolution, "channels_last": True}
    module = (
        transkd.DistillModule(student, teacher, LOSSES[point.method], **options)
        if point.method != "none"
        else transkd.SegmentationModule(student, **options)
    )
    batch = {
        "image": torch.randint(0, 256, (point.batch, 3, *point.size), dtype=torch.uint8),
        "label": torch.randint(0, point.classes, (point.batch, *point.size), dtype=torch.uint8),
    }
    trainer.fit(module, DataLoader([batch] * steps, batch_size=None))
    peak = peak_bytes()
    return {"training": (peak - before) / 1e6, "process": peak / 1e6}


def row(point: Point, found: dict[str, float]) -> str:
    """Return a point's line of the table."""
    cells = (
        f"`{point.student}`",
        "labels only" if point.method == "none" else f"{point.method} under `{TEACHER}`",
        f"{point.size[0]}x{point.size[1]}, {point.classes} classes",
        point.batch,
        point.precision,
        "a quarter of the size" if point.resolution == "logit" else "the labels' size",
        f"{found['training']:.0f}",
        f"{found['process']:.0f}",
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Measure every point in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", action="append", help="a point instead of the table's, any number of times")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", metavar="POINT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        print(json.dumps(measure(point_of(arguments.here), arguments.steps, arguments.threads)))
        return
    print(f"| {' | '.join(COLUMNS)} |\n| --- | --- | --- | ---: | --- | --- | ---: | ---: |")
    for text in arguments.point or POINTS:
        command = [sys.executable, __file__, "--here", text]
        command += ["--steps", str(arguments.steps), "--threads", str(arguments.threads)]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        print(row(point_of(text), json.loads(found.splitlines()[-1])), flush=True)
    print(f"\n{platform.machine()} CPU, {arguments.threads} thread(s), {arguments.steps} optimiser steps each.")


if __name__ == "__main__":
    main()
