"""The provenance of an exported student, and its model card on the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from transkd.data import available_datasets
from transkd.data.datasets import get_layout
from transkd.evaluation.comparison import module_digest
from transkd.models import Segmenter
from transkd.models.load import RUN_SUBFOLDERS
from transkd.runs.folder import run_of_model
from transkd.runs.results import UnusableRunError, read_results

KEPT = (
    *("miou", "pixel_accuracy", "per_class", "protocol", "data", "image_size", "distillation", "losses", "teacher"),
    *("seed", "command", "params", "gmacs"),
)
"""The keys of ``results.json`` that go with an exported file."""


def trace_provenance(segmenter: Segmenter, source: str | Path | None) -> dict[str, Any]:
    """Return where a segmenter comes from, as plain values for the metadata of its export.

    ``source`` is as the user named it, ``segmenter`` its config, and ``run`` the results of its run, {} where it is
    not in a run's folder.
    """
    sha256 = module_digest(segmenter)
    return {
        "source": "memory" if source is None else Path(source).name if Path(source).exists() else str(source),
        "weights_sha256": sha256,
        "segmenter": segmenter.config,
        "run": {} if source is None else _run_results(Path(source).expanduser(), sha256),
        "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
    }


def find_palette(class_names: Sequence[str] | None) -> list[list[int]] | None:
    """Return the colours of the dataset that has exactly these classes, None where there is no such dataset."""
    for name in available_datasets():
        classes = get_layout(name).classes
        if classes is not None and class_names is not None and tuple(class_names) == classes.names:
            return [list(colour) for colour in classes.palette]
    return None


def _run_results(source: Path, sha256: str) -> dict[str, Any]:
    """Return the results of a run for these very weights: another segmenter beside it has no such scores."""
    run, results = run_of_model(source), None
    with suppress(UnusableRunError):
        results = None if run is None else read_results(run.path)
    if run is None or results is None:
        return {}
    older = source in (run.path, *(run.path / name for name in RUN_SUBFOLDERS))
    if (results.weights_sha256 or (sha256 if older else None)) != sha256:
        return {}
    values = results.as_dict()
    return {key: values[key] for key in KEPT if values.get(key) is not None}


def model_card(provenance: Mapping[str, Any], folder: str) -> ModelCard:
    """Return the card: scores with their protocol, data, teacher, losses and the command, as far as they are known.

    Args:
        provenance: see :func:`trace_provenance`.
        folder: the folder's name, or the id of the repository.
    """
    run, config = provenance["run"], provenance["segmenter"]
    protocol, method = run.get("protocol") or {}, run.get("distillation")
    title = f"{config['backbone']} with a {config['head']} head, {config['num_classes']} classes"
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag="image-segmentation",
        tags=["semantic-segmentation", "knowledge-distillation", "segformer", "transkd"],
        metrics=["mean_iou"],
    )
    scores = "None are known: the student was not exported from the folder of a run that scored it."
    if run.get("miou") is not None:
        labels = "labels at a quarter of the input" if protocol.get("resolution") == "logit" else "labels at full size"
        data.model_name = title
        data.eval_results = [
            EvalResult(
                task_type="image-segmentation",
                task_name="Semantic segmentation",
                dataset_type=str(protocol.get("dataset")),
                dataset_name=str(protocol.get("dataset")),
                dataset_split=str(protocol.get("split")),
                metric_type="mean_iou",
                metric_name=f"mIoU (input {protocol.get('input_size')}, {labels})",
                metric_value=round(100 * run["miou"], 2),
            )
        ]
        rows = [("mIoU", run["miou"]), ("pixel accuracy", run["pixel_accuracy"]), *run.get("per_class", {}).items()]
        table = [f"| {name} | {'absent' if value is None else f'{100 * value:.2f}'} |" for name, value in rows]
        counted = f" on {run['data']['count']} images" if (run.get("data") or {}).get("count") else ""
        scores = "\n".join(["| | % |", "| --- | ---: |", *table, "", f"Protocol{counted}: `{json.dumps(protocol)}`"])
    return ModelCard(
        f"""---
{data.to_yaml()}
---

# {title}

A semantic segmentation student ({config["backbone"]}), \
{f"distilled by {method}" if method not in (None, "none") else "trained on labels"} with \
[TransKD](https://arxiv.org/abs/2202.13393)'s implementation transkd.

## Scores

{scores}

## How it was made

{_made(run, protocol)}

## Use

With transformers, which needs nothing else:

```python
from transformers import AutoImageProcessor, SegformerForSemanticSegmentation

processor = AutoImageProcessor.from_pretrained("{folder}")
model = SegformerForSemanticSegmentation.from_pretrained("{folder}")
outputs = model(**processor(images=image, return_tensors="pt"))
classes = processor.post_process_semantic_segmentation(outputs, target_sizes=[(height, width)])[0]
```

With transkd, which runs the same network at about half of its multiplications:

```python
import transkd

classes = transkd.load_segmenter("{folder}").predict(images)  # uint8 (B, 3, H, W) -> (B, H, W)
```

Weights: sha256 `{provenance["weights_sha256"]}` of the segmenter's tensors; exported by transkd \
{provenance["versions"]["transkd"]}.
"""
    )


def _made(run: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    values = {
        "data": protocol.get("dataset"),
        "method": run.get("distillation"),
        "losses": ", ".join(f"{name} x {weight:g}" for name, weight in (run.get("losses") or {}).items()) or None,
        "teacher": run.get("teacher"),
        "seed": run.get("seed"),
        "parameters": f"{run['params']:,}" if run.get("params") else None,
        "GMAC": f"{run['gmacs']:.2f} at {run['image_size'][0]}x{run['image_size'][1]}" if run.get("gmacs") else None,
    }
    lines = [f"- {title}: {value}" for title, value in values.items() if value is not None]
    if run.get("command"):
        lines += ["", "```bash", run["command"], "```"]
    return "\n".join(lines) or "Nothing is known of the run that made it."
