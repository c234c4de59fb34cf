"""The one schema of ``results.json``: what training writes, and what reports, cards, W&B and tables read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from transkd.errors import TransKDError, first_line
from transkd.runs.folder import RESULTS

MOST = 1e15
"""More than any training took of anything."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Side = Annotated[int, Field(ge=1)]


class UnusableRunError(TransKDError):
    """A folder that is no finished run: unfinished, foreign or damaged, and why."""


class Part(BaseModel):
    """A part of ``results.json``; keys of other versions are ignored, and what older runs lack has a default."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Files(Part):
    """Which files a split has."""

    count: Count
    sha256: str
    content: str | None = None


class ScoredFiles(Files):
    """Which files were scored, and trained on."""

    train: Files | None = None


class Checkpoint(Part):
    """Which checkpoint became the saved segmenter: ``"best"`` or ``"last"``, of which epoch."""

    chosen: str | None = None
    epoch: int | None = None


class BestValidation(Part):
    """The best validation during training."""

    miou: Share
    epoch: Count | None


class Training(Part):
    """How long the training was, and at what pace, summed over all its sessions."""

    steps: Count | None = None
    epochs: Count | None = None
    stopped_by: str | None = None
    images: Count | None = None
    seconds: Amount | None = None
    validation_seconds: Amount | None = None
    images_per_second: Amount | None = None
    peak_memory_mb: Amount | None = None
    peak_memory_is: str | None = None
    precision: str | None = None
    best_validation: BestValidation | None = None


class LossCost(Part):
    """What the distillation losses cost while they trained; GMAC of one image, shares of a training step's time."""

    adapter_parameters: Count | None = None
    adapter_gmacs: Amount | None = None
    teacher_share: Amount | None = None
    losses_share: Amount | None = None
    measured_steps: Count | None = None


def _comparable(protocol: dict[str, Any]) -> dict[str, Any]:
    """Return a protocol if it can be compared and written down again, else raise a ValueError."""
    if not isinstance(protocol.get("options") or {}, dict):
        raise ValueError("options should be a section")
    json.dumps(protocol, allow_nan=False)
    return protocol


class Results(Part):
    """What ``results.json`` holds, in its order.

    The scores come first (:meth:`transkd.evaluation.Scores.as_dict`), null where nothing was validated.
    """

    miou: Share | None
    pixel_accuracy: Share | None
    per_class: dict[str, Share | None]
    protocol: Annotated[dict[str, Any], AfterValidator(_comparable)]
    params: Count
    gmacs: Amount | None
    latency_ms: Amount | None = None
    image_size: tuple[Side, Side] | None = None
    backbone: str
    distillation: str
    losses: dict[str, float] = {}
    teacher: str | None = None
    weights_from: dict[str, str] = {}
    weights_sha256: str | None = None
    command: str | None = None
    seed: int
    data: ScoredFiles
    device: str | None = None
    versions: dict[str, str] = {}
    checkpoint: Checkpoint = Checkpoint()
    training: Training = Training()
    distillation_cost: LossCost | None = None
    first_steps: dict[str, dict[str, float | None]] = {}

    def as_dict(self) -> dict[str, Any]:
        """Return what is written: all that was set, as plain values ready for JSON."""
        return self.model_dump(mode="json", exclude_unset=True)


def read_results(folder: Path) -> Results:
    """Read the results of the run in a folder.

    Raises:
        UnusableRunError: there are none, or they are damaged; says where.
    """
    try:
        return Results.model_validate(json.loads((folder / RESULTS).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UnusableRunError(f"unfinished: it has no {RESULTS}") from None
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        key, message = ".".join(map(str, wrong["loc"])), wrong["msg"].removeprefix("Value error, ").lower()
        raise UnusableRunError(f"damaged: {RESULTS} at {key or RESULTS}: {message}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableRunError(f"damaged: {RESULTS} cannot be read ({first_line(error)})") from error
