"""Which layer of a hierarchical network is each stage's patch embedding, found from its dataflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from timm.layers import RmsNorm, RmsNorm2d, SimpleNorm, SimpleNorm2d
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

PROJECTION, NORM, LAYOUT, ACTIVATION, SUM, OTHER = "projection", "norm", "layout", "activation", "sum", "other"

_KINDS = {
    NORM: ("layer_norm", "batch_norm", "group_norm", "rms_norm"),
    LAYOUT: (
        *("permute", "transpose", "movedim", "reshape", "view", "flatten", "unflatten", "contiguous", "clone"),
        *("squeeze", "unsqueeze", "to", "pad", "_pad", "cat", "stack", "chunk", "split", "unbind", "__getitem__"),
        *("dropout", "dropout2d", "__get__", "type", "float", "half"),
    ),
    ACTIVATION: (
        *("relu", "relu_", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "mish", "sigmoid", "tanh"),
        *("hardtanh", "hardtanh_", "hardswish", "hardsigmoid", "softplus", "sigmoid_", "silu_", "clamp"),
    ),
    SUM: ("add", "add_", "__add__", "__radd__", "__iadd__"),
    PROJECTION: ("linear",),
}
_KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names}


class Node(NamedTuple):
    """One tensor: the operation that made it, its kind, the tensors it was made from, and its shape."""

    operation: str
    kind: str
    parents: frozenset[int]
    shape: tuple[int, ...]


class Recorder(TorchFunctionMode):
    """A context that records every tensor which depends on an input.

    Attributes:
        nodes: the tensors, in the order in which they were made; a parent is an index into this list. The input is the
            first.

    Args:
        image: the input.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.nodes = [Node("input", OTHER, frozenset(), tuple(image.shape))]
        self._latest = {id(image): 0}  # an operation in place makes a new node of the same tensor
        self._alive = [image]  # so that no id is used twice
        self._whole = 0  # how many layers, one in another, are being recorded whole

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        parents = frozenset(node for t in _tensors((args, kwargs)) if (node := self.node(t)) is not None)
        result = func(*args, **kwargs)
        if parents and not self._whole:
            name = getattr(func, "__name__", str(func))
            for tensor in _tensors(args[0] if name == "__setitem__" else result):
                self._add(Node(name, _kind(name, args), parents, tuple(tensor.shape)), tensor)
        return result

    def node(self, tensor: Tensor) -> int | None:
        """Return the index of a tensor's latest state, None where it does not depend on the input."""
        return self._latest.get(id(tensor))

    def record_whole(self, layer: nn.Module, kind: str) -> list[RemovableHandle]:
        """Record a layer as one operation of a kind, whatever it is made of; return the hooks that do so."""

        def before(*_: Any) -> None:
            self._whole += 1

        def after(_: nn.Module, inputs: Any, output: Tensor) -> None:
            self._whole -= 1
            parents = frozenset(node for t in _tensors(inputs) if (node := self.node(t)) is not None)
            if parents:
                self._add(Node(type(layer).__name__, kind, parents, tuple(output.shape)), output)

        return [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]

    def _add(self, node: Node, tensor: Tensor) -> None:
        self._latest[id(tensor)] = len(self.nodes)
        self.nodes.append(node)
        self._alive.append(tensor)


def cuts(nodes: Sequence[Node], start: int, end: int) -> list[int]:
    """Return the nodes that every path from ``start`` to ``end`` goes through, both included; [] without a path."""
    from_start = _paths_from(nodes, start)
    to_end = _paths_to(nodes, end)
    every = from_start[end]
    return [i for i in range(start, end + 1) if every and from_start[i] * to_end[i] == every]


def between(nodes: Sequence[Node], start: int, end: int) -> list[Node]:
    """Return what lies on a path from ``start`` to ``end``, without ``start`` itself."""
    from_start, to_end = _paths_from(nodes, start), _paths_to(nodes, end)
    return [nodes[i] for i in range(start + 1, end + 1) if from_start[i] and to_end[i]]


def before_layout(nodes: Sequence[Node], index: int) -> int:
    """Return the tensor that ``index`` is a rearrangement of."""
    while nodes[index].kind == LAYOUT and len(nodes[index].parents) == 1:
        (index,) = nodes[index].parents
    return index


def _paths_from(nodes: Sequence[Node], start: int) -> list[int]:
    paths = [0] * len(nodes)
    paths[start] = 1
    for i in range(start + 1, len(nodes)):
        paths[i] = sum(paths[parent] for parent in nodes[i].parents)
    return paths


def _paths_to(nodes: Sequence[Node], end: int) -> list[int]:
    paths = [0] * len(nodes)
    paths[end] = 1
    for i in range(end, 0, -1):
        for parent in nodes[i].parents if paths[i] else ():
            paths[parent] += paths[i]
    return paths


def _kind(name: str, args: Sequence[Any]) -> str:
    if name == "conv2d":
        all_channels = args[0].shape[1] == args[1].shape[1]  # a grouped convolution reads a part of them
        return PROJECTION if all_channels else OTHER
    return _KIND_OF.get(name, OTHER)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


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
