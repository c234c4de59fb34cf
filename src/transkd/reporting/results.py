"""What a report reads of ``results.json``, each value of the type and in the range that training writes."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MOST = 1e15
"""More than any training took of anything, and little enough to add up."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Side = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of ``results.json``; keys that a report does not show are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Files(Section):
    """Which files a split has; older runs say nothing of their sizes."""

    count: Count
    sha256: str
    content: str | None = None


class Fingerprint(Files):
    """Which files were scored, and trained on; older runs do not say the latter."""

    train: Files | None = None


class Training(Section):
    """How the training went; older runs say less."""

    steps: Count | None = None
    epochs: Count | None = None
    stopped_by: str | None = None
    images: Count | None = None
    seconds: Amount | None = None
    images_per_second: Amount | None = None
    peak_memory_mb: Amount | None = None
    precision: str | None = None


class LossCost(Section):
    """What the distillation losses cost while they taught."""

    adapter_parameters: Count | None = None
    adapter_gmacs: Amount | None = None
    teacher_share: Amount | None = None
    losses_share: Amount | None = None


def _as_training_writes_it(protocol: dict[str, Any]) -> dict[str, Any]:
    """Return a protocol if it can be compared and written down again, else raise a ValueError."""
    if not isinstance(protocol.get("options") or {}, dict):
        raise ValueError("options should be a section")
    try:
        json.dumps(protocol, allow_nan=False)
    except ValueError:
        raise ValueError("a number in it is not finite") from None
    return protocol


class Results(Section):
    """What ``results.json`` holds."""

    miou: Share | None
    pixel_accuracy: Share | None
    per_class: dict[str, Share | None]
    protocol: Annotated[dict[str, Any], AfterValidator(_as_training_writes_it)]
    params: Count
    gmacs: Amount | None
    latency_ms: Amount | None = None
    image_size: tuple[Side, Side] | None = None
    backbone: str
    distillation: str
    seed: int
    data: Fingerprint
    device: str | None = None
    command: str | None = None
    versions: dict[str, str] = {}
    training: Training = Training()
    checkpoint: dict[str, Any] = {}
    distillation_cost: LossCost | None = None
