"""Tracing a graph for images of any size."""

from __future__ import annotations

from typing import Any

import torch
from torch.export import ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes
from torch.utils._sympy.value_ranges import ValueRanges

from transkd.export.graph import ExportGraph
from transkd.models.checks import SMALLEST_SIDE

TRACED = (2, 256, 480)
"""Large enough that at stride 32 there are several windows of a shifted-window network, and unequal sides."""
_NEVER_ONE = 64  # from here on no feature map is a single row, which tracing would take for a broadcast


def capture(graph: ExportGraph, size: tuple[int, int] | None) -> ExportedProgram:
    """Trace a graph for any batch, and for images of ``size`` or, where it is None, of any from 32 pixels a side.

    What tracing notes of sizes (that a row is not alone, which side is longer) chose between ways to lay out memory,
    not between results, so the notes are dropped; that they were such is what the comparison with the source shows.
    """
    axes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if size is None:
        axes |= {2: torch.export.Dim("height", min=_NEVER_ONE), 3: torch.export.Dim("width", min=_NEVER_ONE)}
    example = graph.example(TRACED[0], *(size or TRACED[1:]))
    with symbolic_shapes.patch(backed_size_oblivious=True):  # type: ignore[attr-defined]
        program = torch.export.export(
            graph, (example,), dynamic_shapes=(axes,), strict=False, prefer_deferred_runtime_asserts_over_guards=True
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names paths of the machine
    if size is None:
        _without_notes(program)
    return program


def _without_notes(program: ExportedProgram) -> None:
    for node in [node for node in program.graph.nodes if node.target is torch.ops.aten._assert_scalar.default]:
        program.graph.erase_node(node)
    program.graph.eliminate_dead_code()
    program.graph_module.recompile()
    for symbol, allowed in list(program.range_constraints.items()):
        if allowed.lower >= SMALLEST_SIDE:
            program.range_constraints[symbol] = ValueRanges(SMALLEST_SIDE, allowed.upper)
