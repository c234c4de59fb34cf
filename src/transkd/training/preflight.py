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
from transkd.training.config import TrainConfig
from transkd.training.distill_module import DistillModule
from transkd.training.schedules import own_options
from transkd.training.segmentation_module import SegmentationModule
from transkd.training.segmenters import RANDOM, RANDOM_TEACHER, starts_from_teacher, weights_choice

FAKES = logging.getLogger("torch._subclasses.fake_tensor")
"""Logs a traceback for each operation that fails without values."""


@dataclass(frozen=True)
class AdapterCost:
    """What distillation losses add in training: their adapters' parameters, and the work on one image's taps."""

    parameters: int
    macs: Macs


@contextmanager
def taps_without_computing(
    student: Segmenter, teacher: nn.Module, losses: Iterable[nn.Module], size: tuple[int, int]
) -> Iterator[tuple[Taps, Taps]]:
    """Give the taps of student and teacher on an image of a size: shapes without values, within the context.

    Args:
        student: the segmenter that learns.
        teacher: whatever has ``taps`` as a segmenter has.
        losses: what will read the taps.
        size: height and width in pixels.
    """
    with without_computing(student, teacher, *losses):
        image = torch.empty(1, 3, *size, device=next(student.parameters()).device)
        taps: Any = teacher.taps
        yield student.taps(image, logits=True), taps(image, logits=True)


def loss_cost(loss: DistillationLoss, student: Taps, teacher: Taps) -> AdapterCost:
    """Return what one loss costs on taps of one image; call it within :func:`taps_without_computing`.

    What fails without values, such as a loss that picks pixels by their labels, is counted on random taps and labels.

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
    assert student.logits is not None
    size = student.images.shape[-2:]
    labels = torch.arange(size.numel(), device=student.images.device).view(1, *size) % student.logits.shape[1]
    with unset_fake_temporarily():
        copy = deepcopy(loss)
    maps = [m for t in (student, teacher) for m in (t.images, *t.embeddings, *t.features, t.logits) if m is not None]
    return count_work(lambda: copy.compare(student, teacher, labels.to(torch.uint8)), maps)


def _random(taps: Taps) -> Taps:
    def values(shape: Tensor) -> Tensor:
        return torch.randn(shape.shape, device=shape.device)

    assert taps.logits is not None
    embeddings, features = (tuple(map(values, maps)) for maps in (taps.embeddings, taps.features))
    images, logits = values(taps.images), values(taps.logits)
    return replace(taps, images=images, embeddings=embeddings, features=features, logits=logits)


def total_cost(
    losses: Iterable[DistillationLoss], student: Segmenter, teacher: Any, size: tuple[int, int]
) -> AdapterCost:
    """Return what losses cost together; arguments as for :func:`taps_without_computing`."""
    losses = list(losses)
    with taps_without_computing(student, teacher, losses, size) as (ours, theirs):
        costs = [loss_cost(loss, ours, theirs) for loss in losses]
    return AdapterCost(sum(cost.parameters for cost in costs), sum((cost.macs for cost in costs), Macs(0, 0, 0)))


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
    return total_cost(made, student, teacher, size)


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
    console, size = console or Console(), _image_size(data)
    console.print(_segmenter_table(module, size))
    if isinstance(module, DistillModule) and module.losses:
        console.print(loss_table(module, size))


def print_preflight(
    config: TrainConfig,
    data: SceneDataModule,
    module: SegmentationModule,
    trainer: L.Trainer,
    checkpoint: Path | None,
    console: Console,
) -> None:
    """Print what a run composed, and from which checkpoint it resumes, then what :func:`preflight` prints."""
    if isinstance(module, DistillModule) and weights_choice(config.teacher) == RANDOM:
        warning = RANDOM_TEACHER.format(name=config.teacher.backbone)
        console.print(f"[bold red]WARNING: {warning}[/]", soft_wrap=True)
    height, width = _image_size(data)
    counts = f"{len(data.train_dataset)} training and {len(data.val_dataset)} validation scenes"
    weights = module.weights if isinstance(module, DistillModule) else {}
    terms = ["cross-entropy", *(f"{name} x {weight}" for name, weight in weights.items())]
    optimizer = f"{dict(config.optimizer)['_target_'].rpartition('.')[2]}, lr {config.optimizer.get('lr', 'default')}"
    batch = config.data.batch_size * trainer.accumulate_grad_batches * trainer.world_size
    length = f"{trainer.max_steps} steps" if trainer.max_steps > 0 else f"{trainer.max_epochs} epochs"
    if config.trainer.get("max_time") is not None:
        length += f", at most {config.trainer.max_time} (days:hours:minutes:seconds)"
    device = trainer.accelerator.__class__.__name__.removesuffix("Accelerator")
    lines = {
        "run": f"{config.name} in {config.output}" + (f", resumed from {checkpoint}" if checkpoint else ""),
        "data": f"{config.data.name}: {counts}, {data.classes.num_classes} classes",
        "input": f"{height}x{width}, augmentation: {config.augment.recipe}",
        "method": f"{config.distillation.name}: {' + '.join(terms)}",
        "student": f"{config.student.backbone}, {module.weights_from.get('student') or module.weights_from['model']}",
        "teacher": _teacher_line(config, module),
        "recipe": f"{optimizer}, {config.schedule.name} schedule, batch {batch}, {length}, seed {config.seed}",
        "device": f"{device} x {trainer.world_size}, precision {trainer.precision}",
    }
    for title, text in lines.items():
        console.print(f"[bold]{title:<7}[/bold]  {escape(text)}", highlight=False, soft_wrap=True)
    preflight(module, data, console)


def _teacher_line(config: TrainConfig, module: SegmentationModule) -> str:
    named = weights_choice(config.teacher)
    if not isinstance(module, DistillModule):
        unused = named is not None and not starts_from_teacher(config.student)
        return f"none: distillation=none makes no use of teacher.weights={named}" if unused else "none"
    line = f"{module.teacher.segmenter.config['backbone']}, {module.weights_from['teacher']}"
    match = module.class_match
    if module.needs_logits and match is not None and not match.complete:
        line += f"; logits compared on the {len(match.ours)} classes that both have, matched by name"
    return line


def _image_size(data: SceneDataModule) -> tuple[int, int]:
    height, width = data.train_dataset[0]["image"].shape[-2:]
    return int(height), int(width)


def _table(title: str, *headings: str) -> Table:
    """Return an empty table, whose columns of numbers, marked by a leading >, are aligned to the right."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading.removeprefix(">"), justify="right" if heading.startswith(">") else "left")
    return table


def _segmenter_table(module: SegmentationModule, size: tuple[int, int]) -> Table:
    """Return a table of student and teacher: parameters, GMAC of one image, channels."""
    title = f"Segmenters (GMAC of one {size[0]}x{size[1]} image, attention counted)"
    table = _table(title, "", "backbone", ">classes", ">parameters", ">GMAC", "channels")
    rows: dict[str, Segmenter] = {"model": module.segmenter}
    if isinstance(module, DistillModule):
        rows = {"teacher (frozen)": module.teacher.segmenter, "student": module.segmenter}
    for role, segmenter in rows.items():
        table.add_row(
            role,
            str(segmenter.config["backbone"]),
            str(segmenter.num_classes),
            f"{count_parameters(segmenter):,}",
            f"{segmenter_gmacs(segmenter, size):.2f}",
            " ".join(str(channels) for channels in segmenter.channels),
        )
    return table


def loss_table(module: DistillModule, size: tuple[int, int]) -> Table:
    """Return a table of the distillation losses: weight, paired taps, and what the adapters cost in training."""
    headings = ("loss", ">weight", "compares", "stages student → teacher", ">adapter parameters", ">adapter GMAC")
    table = _table("Distillation losses (adapters train, and leave with the loss)", *headings)
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
    pairs = []
    for s, t in loss.pairing():
        ours, theirs = student.features[s].shape, teacher.features[t].shape
        resized = "" if ours[-2:] == theirs[-2:] else f" resized {tuple(ours[-2:])}→{tuple(theirs[-2:])}"
        pairs.append(f"{s + 1}→{t + 1} ({ours[1]}→{theirs[1]}){resized}")
    return "  ".join(pairs)
