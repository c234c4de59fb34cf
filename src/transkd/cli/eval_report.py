"""What ``scores.json`` says: the scores, and how they were made."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from transkd.cli.eval_config import EvalConfig
from transkd.data import SceneDataModule
from transkd.evaluation import Protocol
from transkd.evaluation.digest import file_digest, module_digest
from transkd.evaluation.report import Evaluation
from transkd.models import Segmenter
from transkd.models.exported import ExportedModel


def facts(config: EvalConfig, data: SceneDataModule, model: Segmenter | ExportedModel) -> dict[str, Any]:
    """Return how a result was made: protocol, precision, model, data and versions."""
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
    return {
        "protocol": {"name": config.protocol.title, **protocol.as_dict()},
        "precision": config.precision if isinstance(model, Segmenter) else model.metadata.get("precision"),
        "model": _model_facts(config.model, model),
        "data": data.fingerprint("val"),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
    }


def scores(config: EvalConfig, data: SceneDataModule, evaluation: Evaluation) -> dict[str, Any]:
    """Return all that was counted, by group and category where the data has them."""
    groups, names = [sample.group for sample in data.val_dataset.samples], data.classes.names
    categories = None if data.classes.categories is None else dict(zip(names, data.classes.categories, strict=True))
    return evaluation.report(groups=groups if any(groups) else (), categories=categories, resamples=config.resamples)


def _model_facts(source: str, model: Segmenter | ExportedModel) -> dict[str, Any]:
    if isinstance(model, Segmenter):
        return {"source": source, "backbone": model.config["backbone"], "sha256": module_digest(model)}
    return {"source": source, "file": model.file.name, "sha256": file_digest(model.file)}
