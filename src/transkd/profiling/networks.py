"""What a user may name to be measured: backbones, saved segmenters, exported files, networks of other libraries."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError, did_you_mean, first_line
from transkd.evaluation.cost import count_parameters
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.backbones.pyramid import SIZES
from transkd.models.heads import find_head
from transkd.models.weights import file_kind

SEGFORMERS = tuple(f"segformer-b{size}" for size in SIZES)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
FILE_SUFFIXES = (".onnx", ".pt2", ".pth", ".pt", ".bin", ".ckpt", ".safetensors")
EXPORTED = ("onnx", "torch.export")
LIBRARIES = ("transformers", "torchvision", "python")
"""Prefixes of networks: ``transformers:segformer-b0`` (random weights) or a hub id or folder of any model for semantic
segmentation; ``torchvision:lraspp_mobilenet_v3_large``; ``python:package.module:function``, what a function returns."""


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
    """Return why there can be no network of this name, None where there can; hub ids are not looked up."""
    library, _, rest = name.partition(":")
    try:
        if library == "python":
            python_function(rest)
        elif library == "torchvision":
            models = imported("torchvision.models")
            known = models.list_models(module=models.segmentation)
            if rest not in known:
                return f"there is no '{rest}'; {did_you_mean(rest, known)}"
        elif library == "transformers":
            if rest not in SEGFORMERS and "/" not in rest and not Path(rest).exists():
                return f"there is no '{rest}'; {did_you_mean(rest, SEGFORMERS)} (or give a hub id, or a folder)"
            imported(library, "pip install transformers")
        elif not is_saved(name):
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
            hub id that ``load_segmenter`` takes, an exported ``.onnx`` or ``.pt2`` file, or one of ``LIBRARIES``,
            a colon and a name.
        num_classes: outputs of the networks that are made with random weights.

    Raises:
        ConfigError: there is no such network.
        WeightsError: there are no such weights, or they cannot be read.
    """
    library, colon, rest = name.partition(":")
    if colon and library in LIBRARIES:
        return Network(name, LogitsOf(library_network(library, rest, num_classes)).eval())
    if is_saved(name):
        path = Path(name).expanduser()
        if path.is_file() and (runtime := file_kind(path)) in EXPORTED:
            return Network(name, file=path, runtime=runtime)
        return Network(name, load_segmenter(name))
    backbone, _, head = name.partition("+")
    return Network(name, create_segmenter(backbone, num_classes, head=head or None).eval())


def is_saved(name: str) -> bool:
    """Return whether a name is a path that exists, or can be a hub id; the names of backbones are neither."""
    if HUB_ID.fullmatch(name) and not name.endswith(FILE_SUFFIXES):
        return True
    if not Path(name).expanduser().exists():
        return False
    try:
        find_backbone(name.partition("+")[0])
    except ConfigError:
        return True
    return False


def parameters_of(network: Network) -> int:
    """Return the number of parameters; of an exported file, the numbers that it stores as weights."""
    if network.module is not None:
        return count_parameters(network.module)
    assert network.file is not None
    if network.runtime == "onnx":
        weights = (
            imported("onnx", "pip install 'transkd[onnx]'")
            .load(network.file, load_external_data=False)
            .graph.initializer
        )
        return sum(prod(tensor.dims) for tensor in weights if len(tensor.dims) > 0)
    from torch import export

    return sum(parameter.numel() for parameter in export.load(network.file).parameters())


class LogitsOf(nn.Module):
    """Gives the logits of a network whose output may be a tensor, a mapping or an object that holds them.

    Args:
        network: from (B, 3, H, W) floating-point images to a tensor, to a mapping with ``"out"`` or ``"logits"``, or to
            an object with ``.logits``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images`` (B, 3, H, W).

        Raises:
            ConfigError: the network gives nothing that can be taken for logits.
        """
        output: Any = self.network(images)
        found = [output]
        for key in ("logits", "out"):
            found.append(output.get(key) if isinstance(output, Mapping) else getattr(output, key, None))
        logits = next((value for value in found if isinstance(value, Tensor)), None)
        if logits is None:
            raise ConfigError(f"it returns a {type(output).__name__}; a tensor is needed, or 'logits' or 'out' in it")
        return logits


def library_network(library: str, name: str, num_classes: int) -> nn.Module:
    """Return a network of one of ``LIBRARIES``, with random weights unless it is a hub id, a folder or a function's.

    Raises:
        ConfigError: there is none.
        WeightsError: its weights cannot be loaded.
    """
    if library == "python":
        network = python_function(name)()
        if not isinstance(network, nn.Module):
            raise ConfigError(f"{name} returns a {type(network).__name__}, not a torch.nn.Module")
        return network
    if library == "torchvision":
        options: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": num_classes}
        return cast(nn.Module, imported("torchvision.models").get_model(name, **options))
    transformers = imported(library, "pip install transformers")
    if name not in SEGFORMERS:
        try:
            return cast(nn.Module, transformers.AutoModelForSemanticSegmentation.from_pretrained(name))
        except (OSError, ValueError) as error:
            raise WeightsError(f"transformers cannot load {name}: {first_line(error)}") from error
    size = int(name[-1])
    channels, depths = SIZES[size]
    config = transformers.SegformerConfig(
        depths=list(depths),
        hidden_sizes=list(channels),
        decoder_hidden_size=256 if size < 2 else 768,
        num_labels=num_classes,
    )
    return cast(nn.Module, transformers.SegformerForSemanticSegmentation(config))


def python_function(name: str) -> Any:
    """Return the function ``package.module:function``, also of a module in the current folder."""
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise ConfigError(f"'{name}' is not of the form package.module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    factory = getattr(imported(module), function, None)
    if not callable(factory):
        raise ConfigError(f"{module} has no function '{function}'")
    return factory


def imported(name: str, remedy: str = "") -> Any:
    """Return a module.

    Raises:
        ConfigError: it cannot be imported; states why, and the remedy.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the user's module does when it is imported
        why = f"{type(error).__name__}: {first_line(error)}"
        raise ConfigError(f"{name} cannot be imported ({why}){f'; {remedy}' if remedy else ''}") from error
