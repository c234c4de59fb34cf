"""Time and peak memory of one TransKD-EA training step, ours beside the same step on transformers' SegFormers.

    python benchmarks/distillation_step.py [--steps 3] [--rounds 2] [--size 512 1024] [--batch 2] [--threads 2]

MiT-B2 teaches MiT-B0: cross-entropy + csf + ea, forward, backward, AdamW. Both sides use our losses; they differ in
the networks. Each variant runs in its own process, so that memory is its own; the ratios are of one run.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

VARIANTS = ("transkd", "transformers")
PRECISIONS = ("fp32", "bf16")
CLASSES = 19


def transformers_segformer(depths: list[int], widths: list[int], head: int) -> nn.Module:
    """Return transformers' SegFormer of the given size with random weights."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(depths=depths, hidden_sizes=widths, decoder_hidden_size=head, num_labels=CLASSES)
    return SegformerForSemanticSegmentation(config)


class HookedSegformer:
    """Taps of transformers' SegFormer: hidden states as it returns them, patch embeddings by forward hooks."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.channels = tuple(model.config.hidden_sizes)
        self._embeddings: list[Tensor] = []
        for module in model.modules():
            if type(module).__name__ == "SegformerOverlapPatchEmbeddings":
                module.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: tuple[Tensor, int, int]) -> None:
        tokens, height, width = output
        self._embeddings.append(tokens.transpose(1, 2).unflatten(2, (height, width)))

    def taps(self, images: Tensor) -> Any:
        """Return the taps of normalised float images (B, 3, H, W), logits included."""
        from transkd.models import Taps

        self._embeddings = []
        output = self.model(images, output_hidden_states=True)
        return Taps(images, tuple(self._embeddings), tuple(output.hidden_states), output.logits)


def transkd_step() -> tuple[Callable[[Tensor, Tensor], Tensor], list[nn.Parameter]]:
    """Return our loss of a batch, and what trains."""
    import transkd
    from transkd.training import DistillModule

    student, teacher = (transkd.create_segmenter(name, CLASSES) for name in ("mit_b0", "mit_b2"))
    module = DistillModule(student, teacher, {"csf": 1.0, "ea": 1.0}, loss_resolution="logit")
    module.train()

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        return torch.stack(list(module.loss_terms({"image": images, "label": labels}).values())).sum()

    return loss, module.trainable_parameters()


def transformers_step() -> tuple[Callable[[Tensor, Tensor], Tensor], list[nn.Parameter]]:
    """Return the same loss on transformers' networks, and what trains."""
    import transkd
    from transkd.training.segmentation_module import SegmentationLoss

    student = HookedSegformer(transformers_segformer([2, 2, 2, 2], [32, 64, 160, 256], 256).train())
    teacher = HookedSegformer(
        transformers_segformer([3, 4, 6, 3], [64, 128, 320, 512], 768).eval().requires_grad_(False)
    )
    losses = [transkd.create_loss(name, student=student, teacher=teacher) for name in ("csf", "ea")]
    task = SegmentationLoss(resolution="logit")
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        normalised = (images / 255 - mean) / std
        ours = student.taps(normalised)
        with torch.no_grad():
            theirs = teacher.taps(normalised)
        return task(ours.logits, labels) + torch.stack([term(ours, theirs) for term in losses]).sum()

    parameters = [*student.model.parameters(), *(p for term in losses for p in term.parameters())]
    return loss, parameters


def measure(variant: str, precision: str, arguments: argparse.Namespace) -> dict[str, float]:
    """Run a few steps of one variant in this process."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    height, width = arguments.size
    images = torch.randint(0, 256, (arguments.batch, 3, height, width), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (arguments.batch, height, width), dtype=torch.uint8)
    loss, parameters = transkd_step() if variant == "transkd" else transformers_step()
    optimizer = torch.optim.AdamW(parameters, lr=6e-5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(arguments.steps + 1):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            value = loss(images, labels)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": statistics.median(seconds[1:]), "gb": (peak - before) / 2**20, "loss": value.item()}


def main() -> None:
    """Measure every variant in a process of its own, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=[512, 1024])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs=2, metavar=("VARIANT", "PRECISION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(*arguments.only, arguments)))
        return
    print(
        f"{platform.machine()} CPU, {arguments.threads} threads, torch {torch.__version__}, batch {arguments.batch}, "
        f"{arguments.size[0]}x{arguments.size[1]}; median of {arguments.steps} steps after one, best of "
        f"{arguments.rounds} rounds\n"
    )
    found = measure_all(arguments)
    base = found["transformers", "fp32"]
    print("| networks | precision | s/step | GB | faster than transformers fp32 | same precision | memory of fp32 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (variant, precision), one in found.items():
        faster = base["seconds"] / one["seconds"]
        same = found["transformers", precision]["seconds"] / one["seconds"]
        print(
            f"| {variant} | {precision} | {one['seconds']:.2f} | {one['gb']:.2f} "
            f"| {faster:.2f}x | {same:.2f}x | {one['gb'] / base['gb']:.2f}x |"
        )


def measure_all(arguments: argparse.Namespace) -> dict[tuple[str, str], dict[str, float]]:
    """Run every variant in a process of its own, in turns; keep each one's least disturbed round."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for precision in PRECISIONS:
            for variant in VARIANTS:
                command = [sys.executable, *sys.argv, "--only", variant, precision]
                one = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
                best = found.get((variant, precision))
                found[variant, precision] = one if best is None or one["seconds"] < best["seconds"] else best
    return found


if __name__ == "__main__":
    main()
