"""What ``transkd-export`` does: export, say how the result compares, score both where a dataset is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from transkd.cli.export_config import ExportConfig
from transkd.cli.progress import counting, screen, working
from transkd.data import SceneDataModule
from transkd.evaluation import Scores, outputs_for_classes, score_model
from transkd.evaluation.class_ids import logits_of_ids
from transkd.evaluation.inference import Inference
from transkd.export.exporting import ExportReport, export_segmenter
from transkd.export.graph import ExportGraph
from transkd.export.huggingface import open_folder
from transkd.models import Segmenter, load_segmenter
from transkd.models.exported import ExportedModel, load_model


def run_export(config: ExportConfig) -> ExportReport:
    """Export, print the proof, and score source and file where a dataset is given.

    Raises:
        TransKDError: for everything that a user can mend.
    """
    console = Console()
    data = None if config.data is None else _data(config)
    if data is not None:
        data.setup("validate")
    segmenter = load_segmenter(config.model)
    outputs = None
    if data is not None:
        names = data.classes.names
        title = f"model={config.model}"
        outputs = outputs_for_classes(names, segmenter.class_names, segmenter.num_classes, title)
        if config.result == "classes":
            _logits_of_ids(segmenter.predict, segmenter, outputs, config.output)  # refuses what could not be scored
    with working(f"exporting {config.model} to {config.format}"):
        report = export_segmenter(config.model, config.output, **vars(config.options()))
    _print(report, config, console)
    if data is not None and outputs is not None:
        _print_scores(config, data, segmenter, report.path, outputs, console)
    return report


def _data(config: ExportConfig) -> SceneDataModule:
    data = config.data
    assert data is not None
    return SceneDataModule(
        data.name,
        data.root,
        size=config.size or data.size,
        augment="none",
        val_split=data.val_split,
        label_size="image" if config.result == "classes" else data.label_size,  # ids cannot be resized as logits are
        batch_size=data.val_batch_size,
        workers=data.workers,
        persistent_workers=False,
        dataset_options=data.options,
    )


def _print(report: ExportReport, config: ExportConfig, console: Console) -> None:
    table = Table(title=f"{report.path} in {report.ran_in}, against {config.model}", title_justify="left")
    for heading in ("images", "size", "largest logit difference", "of the largest logit", "pixels of another class"):
        table.add_column(heading, justify="right")
    for found in report.differences:
        by_logit = ("-", "-") if math.isnan(found.logit) else (f"{found.logit:.1e}", f"{found.logit / found.scale:.1e}")
        height, width = found.size
        table.add_row(str(found.batch), f"{height}x{width}", *by_logit, f"{100 * found.pixels:.3f} %")
    console.print(table)
    console.print(
        f"wrote {report.path}, {report.bytes / 1e6:.1f} MB; every difference is within the tolerance of "
        f"{report.tolerance:g}",
        highlight=False,
        soft_wrap=True,
    )
    if report.pushed_to is not None:
        console.print(f"uploaded to {report.pushed_to}", highlight=False, soft_wrap=True)


def _print_scores(
    config: ExportConfig,
    data: SceneDataModule,
    segmenter: Segmenter,
    path: Path,
    outputs: tuple[int, ...],
    console: Console,
) -> None:
    source = ExportGraph(segmenter, "uint8", "logits")  # at the images' size, as the file answers
    runs = {
        "source": _score(data, source, outputs),
        "exported": _score(data, _runner(path, segmenter, outputs), outputs),
    }
    assert config.data is not None
    table = Table(
        "", "mIoU", "pixel accuracy", title=f"{config.data.name}, {config.data.val_split}", title_justify="left"
    )
    for name, scores in runs.items():
        table.add_row(name, f"{100 * scores.miou:.2f}", f"{100 * scores.pixel_accuracy:.2f}")
    console.print(table)
    change = 100 * (runs["exported"].miou - runs["source"].miou)
    console.print(f"exporting changes the mIoU by {change:+.2f} points (both at the images' size)", highlight=False)


def _runner(path: Path, segmenter: Segmenter, outputs: tuple[int, ...]) -> Callable[[Tensor], Tensor]:
    if path.is_dir():
        return open_folder(path)[0]
    model = load_model(path)
    assert isinstance(model, ExportedModel)
    return _logits_of_ids(model.predict, segmenter, outputs, path) if model.result == "classes" else model


def _logits_of_ids(
    predict: Callable[[Tensor], Tensor], segmenter: Segmenter, outputs: tuple[int, ...], path: str | Path
) -> Callable[[Tensor], Tensor]:
    count = segmenter.num_classes
    return logits_of_ids(predict, count, outputs, model=str(path), inference=Inference(), resolution="label")


def _score(data: SceneDataModule, logits_of: Callable[[Tensor], Tensor], outputs: tuple[int, ...]) -> Scores:
    with counting(screen()) as progress, torch.inference_mode():
        batches = progress.track(data.val_dataloader(), description="scoring")
        return score_model(logits_of, batches, data.classes.names, outputs=outputs)
