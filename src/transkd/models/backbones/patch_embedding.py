"""Which layer of a hierarchical network is each stage's patch embedding, found from its dataflow.

The network runs once under a :class:`Recorder`, which notes every tensor that depends on the image and what it was
made from. In that graph, the patch embedding of a stage is where all that the stage computes comes from: the map of the
stage before it (or the image) through exactly one linear projection, with norms and rearrangements, and nothing else,
before the stage's blocks. An activation right after the projection makes it a part of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from timm.layers import RmsNorm, RmsNorm2d, SimpleNorm, SimpleNorm2d
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

PROJECTION, NORM, REARRANGEMENT, ACTIVATION = "projection", "norm", "rearrangement", "activation"
SUM, OTHER = "sum", "other"

_OPERATIONS = {
    NORM: "layer_norm batch_norm group_norm rms_norm",
    REARRANGEMENT: (
        "permute transpose movedim reshape view flatten unflatten contiguous clone squeeze unsqueeze to pad _pad cat "
        "stack chunk split unbind __getitem__ dropout dropout2d __get__ type float half"
    ),
    ACTIVATION: (
        "relu relu_ relu6 leaky_relu prelu elu gelu silu silu_ mish sigmoid sigmoid_ tanh hardtanh hardtanh_ hardswish "
        "hardsigmoid softplus clamp"
    ),
    SUM: "add add_ __add__ __radd__ __iadd__",
    PROJECTION: "linear",
}
_KIND_OF = {name: kind for kind, names in _OPERATIONS.items() for name in names.split()}
NORMS_OF_MANY_OPERATIONS = (RmsNorm, RmsNorm2d, SimpleNorm, SimpleNorm2d)


class PatchEmbedding(NamedTuple):
    """A stage's patch embedding: the layer whose output it is, and the order of its dimensions.

    Attributes:
        module: name of the layer in its network.
        dims: ``"NCHW"``, ``"NHWC"`` or ``"NLC"`` (tokens in rows).
    """

    module: str
    dims: str


class NoPatchEmbeddingError(Exception):
    """A stage has no patch embedding; the message says what it has instead."""


@torch.no_grad()
def find_patch_embeddings(
    network: nn.Module, feature_maps: Callable[[Tensor], Sequence[Tensor]], image: Tensor
) -> tuple[PatchEmbedding, ...]:
    """Find the layer that makes each stage's patch embedding.

    Args:
        network: a network in evaluation mode.
        feature_maps: gives the feature maps of the network's stages, per stage (B, C_i, h_i, w_i).
        image: an input to run it on, on the meta device as well, whose maps have h_i other than w_i.

    Raises:
        NoPatchEmbeddingError: a stage has none.
    """
    recorder = Recorder(image)
    calls: dict[str, list[int | None]] = {}

    def note(name: str, *call: Any) -> None:
        output = call[-1][0] if isinstance(call[-1], tuple | list) and call[-1] else call[-1]
        calls.setdefault(name, []).append(recorder.node(output) if isinstance(output, Tensor) else None)

    handles = []
    for name, module in network.named_modules():
        if isinstance(module, NORMS_OF_MANY_OPERATIONS):
            handles += recorder.record_whole(module, NORM)
        handles.append(module.register_forward_hook(partial(note, name)))
    with recorder:
        maps = feature_maps(image)
    for handle in handles:
        handle.remove()
    nodes = recorder.nodes
    layers = {found[0]: name for name, found in reversed(calls.items()) if len(found) == 1 and found[0] is not None}
    dominators = _immediate_dominators(nodes)
    embeddings, before = [], 0  # the image, then the map of the stage before
    for stage, feature in enumerate(maps, start=1):
        end = recorder.node(feature)
        assert end is not None, "a feature map does not depend on the image"
        while nodes[end].kind == REARRANGEMENT and len(nodes[end].parents) == 1:
            (end,) = nodes[end].parents
        spine = [end]
        while spine[-1] > before:
            spine.append(dominators[spine[-1]])
        if spine[-1] != before:
            raise NoPatchEmbeddingError(f"stage {stage} draws on more than the map of stage {stage - 1}")
        chain = _patchifying_chain(nodes, spine[::-1], stage)
        dims = {
            tuple(feature.shape): "NCHW",
            tuple(feature.permute(0, 2, 3, 1).shape): "NHWC",
            tuple(feature.flatten(2).transpose(1, 2).shape): "NLC",
        }
        chosen = next((node for node in chain if node in layers and nodes[node].shape in dims), None)
        if chosen is None:
            raise NoPatchEmbeddingError(
                f"the first projection of stage {stage} does not give maps of the stage's size and channels"
            )
        embeddings.append(PatchEmbedding(layers[chosen], dims[nodes[chosen].shape]))
        before = end
    return tuple(embeddings)


class Node(NamedTuple):
    """One tensor: the kind of the operation that made it, the tensors it was made from, and its shape."""

    kind: str
    parents: frozenset[int]
    shape: tuple[int, ...]


def _immediate_dominators(nodes: Sequence[Node]) -> list[int]:
    """Return for each tensor the last one before it that every path from the image to it goes through."""
    dominators = [0]

    def common(a: int, b: int) -> int:
        while a != b:
            a, b = (dominators[a], b) if a > b else (a, dominators[b])
        return a

    for node in nodes[1:]:
        dominators.append(reduce(common, node.parents))
    return dominators


def _between(nodes: Sequence[Node], start: int, end: int) -> set[int]:
    """Return the tensors on a path from ``start`` to ``end``, which it dominates, without ``start`` itself."""
    found: set[int] = set()
    remaining = [end]
    while remaining:
        node = remaining.pop()
        if node > start and node not in found:
            found.add(node)
            remaining += nodes[node].parents
    return found


def _patchifying_chain(nodes: Sequence[Node], spine: Sequence[int], stage: int) -> list[int]:
    """Return the tensors from the last norm or projection of the patchifying layer on, rearrangements of each other."""
    projections, chain = 0, list[int]()
    for start, end in pairwise(spine):
        kinds = [nodes[node].kind for node in _between(nodes, start, end)]
        found = projections + kinds.count(PROJECTION)
        if not {*kinds} <= {PROJECTION, NORM, REARRANGEMENT} or found > 1:
            if projections == 0:
                several = "a block of several layers" if len(kinds) > 1 else "a layer that is no projection"
                first = "a residual block" if nodes[end].kind == SUM else several
                raise NoPatchEmbeddingError(f"stage {stage} begins with {first}")
            if ACTIVATION in kinds and PROJECTION not in kinds:
                raise NoPatchEmbeddingError(f"the first projection of stage {stage} is followed by an activation")
            break
        chain = [*chain, end] if {*kinds} <= {REARRANGEMENT} else [end]
        projections = found
    return chain if projections else []


class Recorder(TorchFunctionMode):
    """A context that records every tensor which depends on an image.

    Attributes:
        nodes: the tensors, in the order in which they were made, the image first; parents are indices into this list.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.nodes = [Node(OTHER, frozenset(), tuple(image.shape))]
        self._latest = {id(image): 0}  # an operation in place makes a new node of the same tensor
        self._alive = [image]  # so that no id is used twice
        self._whole = 0  # how many layers, one in another, are being recorded whole

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        parents = self._nodes_of((args, kwargs))
        result = func(*args, **kwargs)
        if parents and not self._whole:
            name = getattr(func, "__name__", str(func))
            kind = _KIND_OF.get(name, OTHER)
            if name == "conv2d" and args[0].shape[1] == args[1].shape[1]:  # a grouped one reads a part of the channels
                kind = PROJECTION
            for tensor in _tensors(args[0] if name == "__setitem__" else result):
                self._add(Node(kind, parents, tuple(tensor.shape)), tensor)
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
            if parents := self._nodes_of(inputs):
                self._add(Node(kind, parents, tuple(output.shape)), output)

        return [layer.register_forward_pre_hook(before), layer.register_forward_hook(after)]

    def _nodes_of(self, values: Any) -> frozenset[int]:
        return frozenset(node for tensor in _tensors(values) if (node := self.node(tensor)) is not None)

    def _add(self, node: Node, tensor: Tensor) -> None:
        self._latest[id(tensor)] = len(self.nodes)
        self.nodes.append(node)
        self._alive.append(tensor)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
