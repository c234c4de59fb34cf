"""torch.export programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transkd.errors import ExportError
from transkd.export.graph import ExportGraph
from transkd.export.onnx_format import capture, quietly
from transkd.models.exported import PROGRAM_METADATA


def write_program(graph: ExportGraph, path: Path, metadata: Mapping[str, Any], *, size: tuple[int, int] | None) -> None:
    """Write the graph as a ``torch.export`` program (``.pt2``) that takes any batch.

    Args:
        graph: what to export.
        path: the file.
        metadata: plain values that the file carries.
        size: the only height and width that it will take; None for any.

    Raises:
        ExportError: the network cannot be traced.
    """
    try:
        with quietly():
            program = capture(graph, size)
            with path.open("wb") as file:
                torch.export.save(program, file, extra_files={PROGRAM_METADATA: json.dumps(dict(metadata))})
    except Exception as error:  # torch.export's classes are many
        last = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        remedy = "" if size else ": fix the size of the images, dynamic=false size=[H,W]"
        raise ExportError(f"the network cannot be traced by torch.export ({last[:200]}){remedy}") from error
