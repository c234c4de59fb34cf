"""What ``transkd-eval`` does: data, model, scores, pictures, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor

from transkd.cli.compute import find_device, logits_function
from transkd.cli.eval_config import EvalConfig
from transkd.cli.eval_files import BEST, WORST, claim_folder, free_folder, picture_file, write_scores
from transkd.data import SceneDataModule
from transkd.errors import DataError
from transkd.evaluation import Protocol, classes_and_labels, outputs_for_classes, scene_picture, select_outputs
from transkd.evaluation.digest import file_digest, module_digest
from transkd.evaluation.evaluate import Evaluation, evaluate
from transkd.evaluation.inference import infer
from transkd.evaluation.summary import class_row, overall_rows, percent, protocol_line
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel, load_model


def run_eval(config: EvalConfig) -> dict[str, Any]:
    """Score a model, write what was found, and print it.

    Returns:
        What ``scores.json`` holds.

    Raises:
        TransKDError: for everything that a user can mend.
    """
    console = Console()
    folder = free_folder(config)
    data = _data(config)
    data.setup("validate")
    device = find_device(config.device)
    model = load_model(config.model)
    if not isinstance(model, Segmenter):
        device = torch.device("cpu")  # takes and gives tensors there, wherever it runs
    outputs = outputs_for_classes(data.classes.names, model.class_names, model.num_classes, f"model={config.model}")
    logits_of = logits_function(model, device, config.precision)
    claim_folder(folder)
    evaluation = _score(config, data, logits_of, outputs, device)
    report = _report(config, data, model, evaluation)
    write_scores(folder, report, evaluation)
    _draw_extremes(config, data, evaluation, logits_of, outputs, device, folder)
    _print(report, folder, console)
    return report


def _data(config: EvalConfig) -> SceneDataModule:
    data = config.data
    return SceneDataModule(
        data.name,
        data.root,
        size=config.input_size,
        augment="none",
        val_split=config.split,
        label_size=config.protocol.label_size,
        batch_size=config.batch_size,
        workers=config.workers,
        persistent_workers=False,
        dataset_options=data.options,
    )


def _score(
    config: EvalConfig,
    data: SceneDataModule,
    logits_of: Callable[[Tensor], Tensor],
    outputs: Sequence[int],
    device: torch.device,
) -> Evaluation:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("scoring", total=len(data.val_dataset))
        evaluation = evaluate(
            logits_of,
            data.val_dataloader(),
            data.classes.names,
            resolution=config.protocol.resolution,
            inference=config.views,
            outputs=outputs,
            boundary=config.boundary,
            device=device,
            progress=lambda done: progress.update(task, completed=done),
        )
    if not evaluation.confusion.any():
        raise DataError(
            f"no pixel of the {config.split} split of {config.data.name} is labelled, so there is nothing to score: "
            "choose another split=…, or use transkd-predict to see what the model makes of it"
        )
    return evaluation


def _report(
    config: EvalConfig, data: SceneDataModule, model: Segmenter | ExportedModel, evaluation: Evaluation
) -> dict[str, Any]:
    size, views = config.input_size, config.views
    protocol = Protocol(
        dataset=config.data.name,
        split=config.split,
        input_size=list(size) if isinstance(size, tuple) else size,
        resolution=config.protocol.resolution,
        label_size=config.protocol.label_size,
        inference=config.inference,
        crop=views.crop,
        stride=views.steps,
        scales=views.scales,
        flip=views.flip,
        options=config.data.options,
    )
    groups = [sample.group for sample in data.val_dataset.samples]
    categories = (
        None if data.classes.categories is None else dict(zip(data.classes.names, data.classes.categories, strict=True))
    )
    scores = evaluation.report(groups=groups if any(groups) else (), categories=categories, resamples=config.resamples)
    return {
        **scores,
        "protocol": {"name": config.protocol.name, **protocol.as_dict()},
        "precision": config.precision if isinstance(model, Segmenter) else model.metadata.get("precision"),
        "model": _model_facts(config.model, model),
        "data": data.fingerprint("val"),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
    }


def _model_facts(source: str, model: Segmenter | ExportedModel) -> dict[str, Any]:
    if isinstance(model, Segmenter):
        return {"source": source, "backbone": model.config["backbone"], "sha256": module_digest(model)}
    return {"source": source, "file": model.file.name, "sha256": file_digest(model.file)}


def _draw_extremes(
    config: EvalConfig,
    data: SceneDataModule,
    evaluation: Evaluation,
    logits_of: Callable[[Tensor], Tensor],
    outputs: Sequence[int],
    device: torch.device,
    folder: Path,
) -> None:
    """Draw the images with the best and the worst mean IoU of their own, the rank first in the file's name."""
    ranked = evaluation.ranked()
    count = min(config.pictures, len(ranked))
    chosen = {BEST: ranked[:count], WORST: ranked[::-1][:count]}
    mious = dict(zip(evaluation.images.tolist(), evaluation.image_mious().tolist(), strict=True))
    for kind, places in chosen.items():
        for rank, place in enumerate(places, start=1):
            item, sample = data.val_dataset[place], data.val_dataset.samples[place]
            images = item["image"][None].to(device)
            logits = select_outputs(infer(logits_of, images, config.views), outputs)
            predicted, _ = classes_and_labels(logits, item["label"][None].to(device), "label")
            title = f"prediction, mIoU {100 * mious[place]:.1f}"
            picture = scene_picture(
                item["image"].permute(1, 2, 0).numpy(),
                {"label": item["label"].numpy(), title: predicted[0].cpu().numpy()},
                data.classes.names,
                data.classes.palette,
            )
            picture.save(picture_file(folder, kind, rank, sample.name))


def _print(report: dict[str, Any], folder: Path, console: Console) -> None:
    title = f"{report['model']['source']} on {report['protocol']['dataset']}, {report['protocol']['split']}"
    console.print(title, highlight=False, markup=False, soft_wrap=True)
    table = Table()
    heads = ["class", "IoU", "accuracy", *(["boundary IoU"] if "per_class_boundary_iou" in report else [])]
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left")
    for name in report["per_class"]:
        table.add_row(*class_row(report, name))
    console.print(table)
    summary = Table(show_header=False)
    for row in overall_rows(report):
        summary.add_row(*row)
    console.print(summary)
    if report.get("per_group"):
        groups = Table("group", "mIoU", "images")
        for name, group in report["per_group"].items():
            groups.add_row(name, percent(group["miou"]), str(group["images"]))
        console.print(groups)
    console.print(protocol_line(report), highlight=False, soft_wrap=True)
    console.print(f"scores and pictures in {folder}", highlight=False, soft_wrap=True)
