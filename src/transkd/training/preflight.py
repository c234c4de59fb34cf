"""What is printed before training: what was composed, what it costs, and what each loss compares."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from transkd.data import SceneDataModule
from transkd.distillation import DistillationLoss, create_loss
from transkd.evaluation import count_parameters, segmenter_gmacs, without_computing
from transkd.evaluation.cost import Macs, count_work
from transkd.models import Segmenter, Taps
from transkd.training.build import image_size
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.segmenters import starts_from_teacher, weights_choice
from transkd.training.weight_schedules import own_options

FAKES = logging.getLogger("torch._subclasses.fake_tensor")
"""Logs a traceback for each operation that fails without values."""


@dataclass(frozen=True)
class AdapterCost:
    """What distillation losses add to a student while it trains.

    Attributes:
        parameters: of the adapters.
        macs: of comparing the taps of one image.
    """

    parameters: int
    macs: Macs


@contextmanager
def taps_without_computing(
    student: Segmenter, teacher: nn.Module, losses: Iterable[nn.Module], size: tuple[int, int]
) -> Iterator[tuple[Taps, Taps]]:
    """Give the taps of student and teacher on one image: shapes without values, for as long as the context lasts.

    Args:
        student: the segmenter that learns.
        teacher: whatever has ``taps`` as a segmenter has.
        losses: what will read the taps.
        size: height and width of the image in pixels.
    """
    with without_computing(student, teacher, *losses):
        image = torch.empty(1, 3, *size, device=next(student.parameters()).device)
        taps: Any = teacher.taps
        yield student.taps(image, logits=True), taps(image, logits=True)


def loss_cost(loss: DistillationLoss, student: Taps, teacher: Taps) -> AdapterCost:
    """Return what one loss costs on taps of one image; call it within :func:`taps_without_computing`.

    A loss whose work depends on values, such as one that picks pixels by their labels, is counted on random taps and
    labels. So is whatever else fails without values, for an error on real tensors is easier to read.

    Raises:
        ConfigError: a custom loss that fails.
    """
    disabled, FAKES.disabled = FAKES.disabled, True
    try:
        macs = _count(loss, student, teacher)
    except Exception:
        with unset_fake_temporarily():
            macs = _count(loss, _random(student), _random(teacher))
    finally:
        FAKES.disabled = disabled
    return AdapterCost(count_parameters(loss), macs)


def _count(loss: DistillationLoss, student: Taps, teacher: Taps) -> Macs:
    """Count a copy's work: a loss may remember what it has seen."""
    maps = [m for taps in (student, teacher) for m in _maps(taps)]
    assert student.logits is not None
    size = student.images.shape[-2:]
    labels = torch.arange(size.numel(), device=student.images.device).view(1, *size) % student.logits.shape[1]
    with unset_fake_temporarily():
        copy = deepcopy(loss)
    return count_work(lambda: copy.compare(student, teacher, labels.to(torch.uint8)), maps)


def _random(taps: Taps) -> Taps:
    assert taps.logits is not None

    def values(shape: Tensor) -> Tensor:
        return torch.randn(shape.shape, device=shape.device)

    return replace(
        taps,
        images=values(taps.images),
        embeddings=tuple(map(values, taps.embeddings)),
        features=tuple(map(values, taps.features)),
        logits=values(taps.logits),
    )


def method_cost(
    losses: Mapping[str, Mapping[str, Any]], student: Segmenter, teacher: Segmenter, size: tuple[int, int]
) -> AdapterCost:
    """Return what all losses of a method cost together.

    Args:
        losses: name of a registered loss -> its options, its weight and the weight's schedule among them.
        student: the segmenter that learns.
        teacher: the segmenter it learns from.
        size: height and width of the image in pixels.

    Raises:
        ConfigError: a loss that does not exist, or does not fit student and teacher.
    """
    made = [
        create_loss(name, student=student, teacher=teacher, **own_options(options)) for name, options in losses.items()
    ]
    with taps_without_computing(student, teacher, made, size) as (ours, theirs):
        costs = [loss_cost(loss, ours, theirs) for loss in made]
    return AdapterCost(sum(cost.parameters for cost in costs), sum((cost.macs for cost in costs), Macs(0, 0, 0)))


def _maps(taps: Taps) -> Iterator[Tensor]:
    yield from (taps.images, *taps.embeddings, *taps.features)
    if taps.logits is not None:
        yield taps.logits


def print_preflight(module: SegmentationModule, size: tuple[int, int], facts: dict[str, str], console: Console) -> None:
    """Print the run's facts, a table of its segmenters and, for a distillation, a table of its losses.

    Args:
        module: what is about to train.
        size: height and width of the images it trains on.
        facts: lines before the tables, title -> text.
        console: where to.
    """
    width = max((len(title) for title in facts), default=0)
    for title, text in facts.items():
        console.print(f"[bold]{title:<{width}}[/bold]  {escape(text)}", highlight=False, soft_wrap=True)
    console.print(segmenter_table(module, size))
    if isinstance(module, DistillModule) and module.losses:
        console.print(loss_table(module, size))


def preflight(module: SegmentationModule, data: SceneDataModule, console: Console | None = None) -> None:
    """Print what a training is about to do: its segmenters, and what each distillation loss compares and costs.

    Args:
        module: what is about to train.
        data: what it is going to train on; the images' size is from there.
        console: where to; standard output, or the notebook's cell, by default.

    Raises:
        ConfigError: data options that do not exist or make no sense.
        DataError: the data's files are missing or unreadable.
    """
    print_preflight(module, image_size(data), {}, console or Console())


def run_facts(
    config: TrainConfig, data: SceneDataModule, module: SegmentationModule, trainer: L.Trainer, checkpoint: Path | None
) -> dict[str, str]:
    """Return what was composed, title -> one line."""
    height, width = image_size(data)
    counts = f"{len(data.train_dataset)} training and {len(data.val_dataset)} validation scenes"
    weights = module.weights if isinstance(module, DistillModule) else {}
    terms = ["cross-entropy", *(f"{name} x {weight}" for name, weight in weights.items())]
    optimizer = f"{config.optimizer['_target_'].rpartition('.')[2]}, lr {config.optimizer.get('lr', 'default')}"
    batch = config.data.batch_size * trainer.accumulate_grad_batches * trainer.world_size
    length = f"{trainer.max_steps} steps" if trainer.max_steps > 0 else f"{trainer.max_epochs} epochs"
    if config.trainer.get("max_time") is not None:
        length += f", at most {config.trainer['max_time']} (days:hours:minutes:seconds)"
    device = trainer.accelerator.__class__.__name__.removesuffix("Accelerator")
    return {
        "run": f"{config.name} in {config.output}" + (f", resumed from {checkpoint}" if checkpoint else ""),
        "data": f"{config.data.name}: {counts}, {data.classes.num_classes} classes",
        "input": f"{height}x{width}, augmentation: {config.augment.recipe}",
        "method": f"{config.distillation.name}: {' + '.join(terms)}",
        "student": f"{config.student.backbone}, {module.weights_from.get('student') or module.weights_from['model']}",
        "teacher": _teacher_fact(config, module),
        "recipe": f"{optimizer}, {config.schedule.name} schedule, batch {batch}, {length}, seed {config.seed}",
        "device": f"{device} x {trainer.world_size}, precision {trainer.precision}",
    }


def _teacher_fact(config: TrainConfig, module: SegmentationModule) -> str:
    named = weights_choice(config.teacher)
    if not isinstance(module, DistillModule):
        unused = named is not None and not starts_from_teacher(config.student)
        return f"none: distillation=none makes no use of teacher.weights={named}" if unused else "none"
    teacher = module.teacher.segmenter
    fact = f"{teacher.config['backbone']}, {module.weights_from['teacher']}"
    match = module.class_match
    if module.needs_logits and match is not None and not match.complete:
        fact += f"; logits compared on the {len(match.ours)} classes that both have, matched by name"
    return fact


def segmenter_table(module: SegmentationModule, size: tuple[int, int]) -> Table:
    """Return a table of student and teacher: parameters, GMAC of one image, channels."""
    table = Table(title=f"Segmenters (GMAC of one {size[0]}x{size[1]} image, attention counted)", title_justify="left")
    for heading in ("", "backbone", "classes", "parameters", "GMAC", "channels"):
        table.add_column(heading, justify="right" if heading in ("classes", "parameters", "GMAC") else "left")
    rows: list[tuple[str, Segmenter]] = []
    if isinstance(module, DistillModule):
        rows.append(("teacher (frozen)", module.teacher.segmenter))
    rows.append(("student" if rows else "model", module.segmenter))
    for title, segmenter in rows:
        table.add_row(
            title,
            str(segmenter.config["backbone"]),
            str(segmenter.num_classes),
            f"{count_parameters(segmenter):,}",
            f"{segmenter_gmacs(segmenter, size):.2f}",
            " ".join(str(channels) for channels in segmenter.channels),
        )
    return table


def loss_table(module: DistillModule, size: tuple[int, int]) -> Table:
    """Return a table of the distillation losses: weight, paired taps, and what the adapters cost in training."""
    table = Table(title="Distillation losses (adapters train, and leave with the loss)", title_justify="left")
    for heading in ("loss", "weight", "compares", "stages student → teacher", "adapter parameters", "adapter GMAC"):
        table.add_column(heading, justify="right" if heading.startswith(("weight", "adapter")) else "left")
    losses = module.distillation_losses()
    with taps_without_computing(module.segmenter, module.teacher, losses.values(), size) as taps:
        student, teacher = module.on_shared_classes(*taps)
        for name, loss in losses.items():
            cost = loss_cost(loss, student, teacher)
            table.add_row(
                name,
                str(module.weights[name]),
                ", ".join(sorted(loss.requires)),
                _compared(loss, student, teacher),
                f"{cost.parameters:,}",
                f"{cost.macs.with_attention / 1e9:.2f}",
            )
    return table


def _compared(loss: DistillationLoss, student: Taps, teacher: Taps) -> str:
    """Return the pairs of stages, or what a loss reads that has none."""
    if not {"embeddings", "features"} & set(loss.requires):
        return "logits" if "logits" in loss.requires else "–"
    return "  ".join(_pair(student, teacher, s, t) for s, t in loss.pairing())


def _pair(student: Taps, teacher: Taps, s: int, t: int) -> str:
    ours, theirs = student.features[s], teacher.features[t]
    text = f"{s + 1}→{t + 1} ({ours.shape[1]}→{theirs.shape[1]})"
    if ours.shape[-2:] != theirs.shape[-2:]:
        text += f" resized {tuple(ours.shape[-2:])}→{tuple(theirs.shape[-2:])}"
    return text
