"""What a user may name to be measured: backbones, saved segmenters, exported files, networks of other libraries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from pathlib import Path

from torch import nn

from transkd.errors import ConfigError
from transkd.evaluation.cost import count_parameters
from transkd.evaluation.profile.foreign import DOORS, LogitsOf
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.file_kinds import FileKind, file_kind
from transkd.models.heads import find_head

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
FILE_SUFFIXES = (".onnx", ".pt2", ".pth", ".pt", ".bin", ".ckpt", ".safetensors")
EXPORTED = {FileKind.ONNX: "onnx", FileKind.TORCH_EXPORT: "torch.export"}


@dataclass(frozen=True)
class Network:
    """What a name stands for.

    Attributes:
        name: as the user wrote it.
        module: from (B, 3, H, W) images to logits, in evaluation mode; None for an exported file.
        file: the exported file; None for a module.
        runtime: what runs the file, ``"onnx"`` or ``"torch.export"``; None for a module.
    """

    name: str
    module: nn.Module | None = None
    file: Path | None = None
    runtime: str | None = None

    @property
    def segmenter(self) -> Segmenter | None:
        """The segmenter, where it is one."""
        return self.module if isinstance(self.module, Segmenter) else None


def name_problem(name: str) -> str | None:
    """Return why there can be no network of this name, None where there can; hub ids are not asked for."""
    door, colon, rest = name.partition(":")
    try:
        if colon and door in DOORS:
            DOORS[door].check(rest)
        elif not (_is_place(name) or _is_hub_id(name)):
            if "/" in name or name.endswith(FILE_SUFFIXES):
                return "there is no such file or folder"
            backbone, plus, head = name.partition("+")
            find_backbone(backbone)
            if plus:
                find_head(head)
    except ConfigError as error:
        return str(error)
    return None


def open_network(name: str, num_classes: int) -> Network:
    """Make or load the network that a name stands for.

    Args:
        name: ``BACKBONE`` or ``BACKBONE+HEAD`` (random weights; a folder of that name is ``./BACKBONE``), a path or
            hub id that ``load_segmenter`` takes, an exported ``.onnx`` or ``.pt2`` file, or a prefix of ``DOORS``, a
            colon and a name.
        num_classes: outputs of the networks that are made with random weights.

    Raises:
        ConfigError: there is no such network.
        WeightsError: there are no such weights, or they cannot be read.
    """
    door, colon, rest = name.partition(":")
    if colon and door in DOORS:
        return Network(name, LogitsOf(DOORS[door].build(rest, num_classes)).eval())
    if _is_place(name) or _is_hub_id(name):
        path = Path(name).expanduser()
        if path.is_file() and (runtime := EXPORTED.get(file_kind(path))):
            return Network(name, file=path, runtime=runtime)
        return Network(name, load_segmenter(name))
    backbone, _, head = name.partition("+")
    return Network(name, create_segmenter(backbone, num_classes, head=head or None).eval())


def parameters_of(network: Network) -> int:
    """Return the number of parameters; of an exported file, the numbers that it stores as weights."""
    if network.module is not None:
        return count_parameters(network.module)
    assert network.file is not None
    if network.runtime == "onnx":
        return _onnx_parameters(network.file)
    from torch import export

    program = export.load(network.file)
    return sum(parameter.numel() for parameter in program.parameters())


def _onnx_parameters(path: Path) -> int:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ConfigError("reading ONNX files needs onnx: pip install 'transkd[onnx]'") from error
    weights = onnx.load(path, load_external_data=False).graph.initializer
    return sum(prod(tensor.dims) for tensor in weights if len(tensor.dims) > 0)


def _is_place(name: str) -> bool:
    return Path(name).expanduser().exists() and not _is_backbone(name.partition("+")[0])


def _is_backbone(name: str) -> bool:
    try:
        find_backbone(name)
    except ConfigError:
        return False
    return True


def _is_hub_id(name: str) -> bool:
    return HUB_ID.fullmatch(name) is not None and not name.endswith(FILE_SUFFIXES)
