"""What ``transkd-eval`` does: data, model, scores, pictures, files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transkd.cli.eval.config import EvalConfig
from transkd.cli.eval.output import (
    BEST,
    SUBMISSION,
    WORST,
    claim_folder,
    free_folder,
    label_files,
    origin,
    pack_files,
    print_report,
    remove_previous,
    write_json,
    write_scores,
    writing,
)
from transkd.cli.inference import find_device, logits_function
from transkd.cli.progress import progress_bar
from transkd.data import SceneDataModule
from transkd.errors import ConfigError, DataError
from transkd.evaluation import classes_and_labels, outputs_for_classes, scene_picture, select_outputs
from transkd.evaluation.class_match import REMEDY, logits_of_ids
from transkd.evaluation.evaluate import evaluate
from transkd.evaluation.inference import infer
from transkd.evaluation.report import Evaluation
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel, load_model
from transkd.options import SMALLEST_SIDE


@dataclass(frozen=True)
class Scored:
    """A model and its logits of images on a device; for each class of the dataset the output that stands for it."""

    model: Segmenter | ExportedModel
    logits_of: Callable[[Tensor], Tensor]
    outputs: Sequence[int]
    device: torch.device
    of_ids: bool
    """The model gives class ids, and the logits stand for them."""


def run_eval(config: EvalConfig) -> None:
    """Score a model, write what was found, and print it.

    A previous result stays until all that takes time is done.

    Raises:
        TransKDError: for everything that a user can correct.
    """
    folder = free_folder(config)
    data = SceneDataModule(
        config.data.name,
        config.data.root,
        size=config.input_size,
        augment="none",
        val_split=config.scored_split,
        val_labelled=config.labelled,
        label_size=config.protocol.label_size,
        batch_size=config.batch_size or config.data.val_batch_size,
        workers=config.data.workers if config.workers is None else config.workers,
        persistent_workers=False,
        dataset_options=config.data.options,
    )
    data.setup("validate")
    scored = load_scored(config, data)
    claim_folder(folder)
    samples = data.val_dataset.samples
    with writing(folder):
        files = label_files(config, data, folder)
    with progress_bar("scoring" if config.labelled else "predicting", "images") as progress:
        evaluation = evaluate(
            scored.logits_of,
            large_enough(data),
            data.classes.names,
            resolution=config.protocol.resolution,
            inference=config.views(config.input_size),
            outputs=scored.outputs,
            boundary=config.boundary and config.labelled,
            of_ids=scored.of_ids,
            device=scored.device,
            image_names=[str(sample.image) for sample in samples],
            keep=None if files is None else writing(folder)(files.write),
            progress=lambda done: progress(done, len(samples)),
        )
    labelled = bool(evaluation.confusion.any())
    if not labelled and files is None:
        raise DataError(
            f"no pixel of the {config.scored_split} split of {config.data.name} is labelled, so there is nothing to "
            "score: choose another split=…, or use transkd-predict to see what the model makes of it"
        )
    report: dict[str, Any] = {"images": len(samples)}
    if labelled:  # by group and category where the data has them
        groups = [sample.group for sample in samples]
        coarse = data.classes.categories
        report = evaluation.report(
            groups=groups if any(groups) else (),
            categories=None if coarse is None else dict(zip(data.classes.names, coarse, strict=True)),
            resamples=config.resamples,
        )
    report |= origin(config, data, scored.model)
    with writing(folder):
        if files is not None:
            report["submission"] = pack_files(config, files)
        remove_previous(folder)
        if labelled:  # first what lets overwrite=true replace the folder, should the rest fail
            write_scores(folder, report, evaluation)
        else:
            write_json(folder / SUBMISSION, report)
        if files is not None:
            files.finish()
        if labelled:
            draw_extremes(config, data, evaluation, scored, folder)
    print_report(report, folder)


def load_scored(config: EvalConfig, data: SceneDataModule) -> Scored:
    """Load the model, and match its classes with the dataset's.

    Raises:
        ConfigError: it lacks classes, or gives class ids where logits are needed.
    """
    device, name = find_device(config.device), f"model={config.model}"
    model = load_model(config.model)
    outputs = outputs_for_classes(data.classes.names, model.class_names, model.num_classes, name)
    logits_of = logits_function(model, device, config.precision)
    if isinstance(model, Segmenter):
        return Scored(model, logits_of, outputs, device, of_ids=False)
    of_ids = model.result == "classes"
    if of_ids:
        if config.format is not None:
            raise ConfigError(f"{name} gives class ids, which cannot be brought to the images' own sizes: {REMEDY}")
        logits_of = logits_of_ids(
            model.predict,
            model.num_classes,
            outputs,
            model=name,
            inference=config.views(config.input_size),
            resolution=config.protocol.resolution,
        )
    return Scored(model, logits_of, outputs, torch.device("cpu"), of_ids)  # takes and gives tensors on the CPU


def large_enough(data: SceneDataModule) -> Iterator[Mapping[str, Any]]:
    """Yield the batches.

    Raises:
        DataError: an image is smaller than segmenters take.
    """
    for batch in data.val_dataloader():
        height, width = batch["image"].shape[-2:]
        if min(height, width) < SMALLEST_SIDE:
            raise DataError(
                f"{data.file_names(batch['index'], 'val')[0]}: {height}x{width} pixels, and the model needs "
                f"{SMALLEST_SIDE} a side: choose a larger data.size (or protocol.size)"
            )
        yield batch


def draw_extremes(
    config: EvalConfig, data: SceneDataModule, evaluation: Evaluation, scored: Scored, folder: Path
) -> None:
    """Draw the images with the best and the worst mIoU of their own, the rank first in the file's name."""
    ranked = evaluation.ranked()
    count = min(config.pictures, len(ranked))
    mious = dict(zip(evaluation.images.tolist(), evaluation.image_mious().tolist(), strict=True))
    for kind, places in ((BEST, ranked[:count]), (WORST, ranked[::-1][:count])):
        for rank, place in enumerate(places, start=1):
            item, sample = data.val_dataset[place], data.val_dataset.samples[place]
            images = item["image"][None].to(scored.device)
            logits = select_outputs(infer(scored.logits_of, images, config.views(config.input_size)), scored.outputs)
            predicted, _ = classes_and_labels(logits, item["label"][None].to(scored.device), "label")
            title = f"prediction, mIoU {100 * mious[place]:.1f}"
            picture = scene_picture(
                item["image"].permute(1, 2, 0).numpy(),
                {"label": item["label"].numpy(), title: predicted[0].cpu().numpy()},
                data.classes.names,
                data.classes.palette,
            )
            (folder / kind).mkdir(exist_ok=True)
            picture.save(folder / kind / f"{rank:02d}-{sample.name}.png")
