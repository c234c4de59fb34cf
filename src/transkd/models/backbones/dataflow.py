"""How the tensors of one forward pass come from each other, recorded while a network runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

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
