"""Where an exported student comes from: what its run's folder says, its classes and their colours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from transkd.data import available_datasets
from transkd.data.datasets import get_layout
from transkd.evaluation.digest import module_digest
from transkd.models import Segmenter
from transkd.models.sources.ours import RUN_SUBFOLDERS

RESULTS = "results.json"
KEPT = (
    "miou",
    "pixel_accuracy",
    "per_class",
    "protocol",
    "data",
    "image_size",
    "distillation",
    "losses",
    "teacher",
    "seed",
    "command",
    "params",
    "gmacs",
)


@dataclass(frozen=True)
class Provenance:
    """What goes with an exported file.

    Attributes:
        source: what the user called the model.
        sha256: of the segmenter's weights.
        config: the segmenter's own.
        palette: a colour a class, None where none is known.
        run: from the run's ``results.json``, empty where the model is not in a run's folder.
    """

    source: str
    sha256: str
    config: dict[str, Any]
    palette: list[list[int]] | None = None
    run: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, and the version that exported it."""
        return {
            "source": self.source,
            "weights_sha256": self.sha256,
            "segmenter": self.config,
            "run": self.run,
            "versions": {name: version(name) for name in ("transkd", "torch", "timm")},
        }


def trace_provenance(segmenter: Segmenter, source: str | Path | None) -> Provenance:
    """Collect what is known of a segmenter.

    Args:
        segmenter: as it is exported.
        source: the folder, file or id it was loaded from, None for one from memory.
    """
    sha256 = module_digest(segmenter)
    run = {} if source is None else _run_results(Path(source).expanduser(), sha256)
    return Provenance(
        source="memory" if source is None else Path(source).name if Path(source).exists() else str(source),
        sha256=sha256,
        config=segmenter.config,
        palette=segmenter.config["palette"] or find_palette(segmenter.class_names),
        run=run,
    )


def find_palette(class_names: Sequence[str] | None) -> list[list[int]] | None:
    """Return the colours of the dataset that has exactly these classes, None where there is no such dataset."""
    for name in available_datasets():
        classes = get_layout(name).classes
        if classes is not None and class_names is not None and tuple(class_names) == classes.names:
            return [list(colour) for colour in classes.palette]
    return None


def _run_results(source: Path, sha256: str) -> dict[str, Any]:
    """Return what a run's folder says of these very weights: another segmenter beside it has no such scores."""
    for folder in (source, source.parent, source.parent.parent):
        if (folder / RESULTS).is_file() and (folder / "config.yaml").is_file():
            try:
                results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return {}
            older = source in (folder, *(folder / name for name in RUN_SUBFOLDERS))
            if results.get("weights_sha256", sha256 if older else None) != sha256:
                return {}
            return {key: results[key] for key in KEPT if results.get(key) is not None}
    return {}
