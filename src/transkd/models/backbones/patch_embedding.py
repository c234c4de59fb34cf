"""Which layer of a hierarchical network is each stage's patch embedding, found from its dataflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from timm.layers import RmsNorm, RmsNorm2d, SimpleNorm, SimpleNorm2d
from torch import Tensor, nn

from transkd.models.backbones.dataflow import (
    ACTIVATION,
    LAYOUT,
    NORM,
    PROJECTION,
    SUM,
    Recorder,
    before_layout,
    between,
    cuts,
)

NORMS_OF_MANY_OPERATIONS = (RmsNorm, RmsNorm2d, SimpleNorm, SimpleNorm2d)

FeatureMaps = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class PatchEmbedding:
    """A stage's patch embedding: the layer whose output it is, and how that output is laid out.

    Attributes:
        module: name of the layer in its network.
        layout: ``"NCHW"``, ``"NHWC"`` or ``"NLC"`` (tokens in rows).
    """

    module: str
    layout: str


class NoPatchEmbeddingError(Exception):
    """A stage has no patch embedding; the message says what it has instead."""


@torch.no_grad()
def find_patch_embeddings(network: nn.Module, feature_maps: FeatureMaps, image: Tensor) -> tuple[PatchEmbedding, ...]:
    """Find the layer that makes each stage's patch embedding.

    That is where all that a stage computes comes from: the map of the stage before it (or the image) through exactly
    one linear projection, with norms and changes of layout, and nothing else, before the stage's blocks. An activation
    right after the projection makes it a part of a block.

    Args:
        network: a network in evaluation mode.
        feature_maps: gives the feature maps of the network's stages, per stage (B, C_i, h_i, w_i).
        image: an input to run it on, on the meta device as well, whose maps have h_i other than w_i.

    Returns:
        One a stage.

    Raises:
        NoPatchEmbeddingError: a stage has none.
    """
    recorder = Recorder(image)
    calls: dict[str, list[int | None]] = {}

    def note(name: str, *call: Any) -> None:
        tensor = _first(call[-1])
        calls.setdefault(name, []).append(None if tensor is None else recorder.node(tensor))

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, NORMS_OF_MANY_OPERATIONS):
            handles += recorder.record_whole(module, NORM)
        handles.append(module.register_forward_hook(partial(note, name)))
    with recorder:
        maps = feature_maps(image)
    for handle in handles:
        handle.remove()
    outputs = {nodes[0]: name for name, nodes in reversed(calls.items()) if len(nodes) == 1 and nodes[0] is not None}
    ends = [0, *(before_layout(recorder.nodes, _node(recorder, feature)) for feature in maps)]
    return tuple(
        _stage_embedding(recorder, outputs, ends, stage, feature) for stage, feature in enumerate(maps, start=1)
    )


def _stage_embedding(
    recorder: Recorder, outputs: dict[int, str], ends: Sequence[int], stage: int, feature: Tensor
) -> PatchEmbedding:
    nodes = recorder.nodes
    before, end = ends[stage - 1], ends[stage]
    if before not in cuts(nodes, 0, end):
        raise NoPatchEmbeddingError(f"stage {stage} draws on more than the map of stage {stage - 1}")
    chain = _patchifying_chain(recorder, cuts(nodes, before, end), stage)
    layouts = {
        tuple(feature.shape): "NCHW",
        tuple(feature.permute(0, 2, 3, 1).shape): "NHWC",
        tuple(feature.flatten(2).transpose(1, 2).shape): "NLC",
    }
    candidates = [node for node in chain if node in outputs and nodes[node].shape in layouts]
    if not candidates:
        raise NoPatchEmbeddingError(
            f"the first projection of stage {stage} does not give maps of the stage's size and channels"
        )
    chosen = candidates[0]
    return PatchEmbedding(outputs[chosen], layouts[nodes[chosen].shape])


def _patchifying_chain(recorder: Recorder, spine: Sequence[int], stage: int) -> list[int]:
    """Return the tensors from the last norm or projection of the patchifying layer on, which differ in layout only."""
    nodes, projections, chain = recorder.nodes, 0, list[int]()
    for start, end in pairwise(spine):
        part = between(nodes, start, end)
        kinds = [node.kind for node in part]
        found = projections + kinds.count(PROJECTION)
        if not {*kinds} <= {PROJECTION, NORM, LAYOUT} or found > 1:
            if projections == 0:
                raise NoPatchEmbeddingError(f"stage {stage} begins with {_described(nodes[end].kind, kinds)}")
            if ACTIVATION in kinds and PROJECTION not in kinds:
                raise NoPatchEmbeddingError(f"the first projection of stage {stage} is followed by an activation")
            break
        chain = [*chain, end] if {*kinds} <= {LAYOUT} else [end]
        projections = found
    return chain if projections else []


def _described(last: str, kinds: Iterable[str]) -> str:
    if last == SUM:
        return "a residual block"
    listed = list(kinds)
    return "a block of several layers" if len(listed) > 1 else "a layer that is no projection"


def _node(recorder: Recorder, tensor: Tensor) -> int:
    node = recorder.node(tensor)
    assert node is not None, "a feature map does not depend on the image"
    return node


def _first(output: object) -> Tensor | None:
    """Return a layer's output, or the first of several."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None
