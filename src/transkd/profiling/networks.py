"""What a user may name to be measured: backbones, saved segmenters, exported files, networks of other libraries."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError, did_you_mean, first_line
from transkd.evaluation.cost import count_parameters
from transkd.models import create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.backbones.pyramid import SIZES
from transkd.models.heads import find_head
from transkd.models.weights import file_kind

SEGFORMERS = {f"segformer-b{size}": size for size in SIZES}
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
EXPORTED = ("onnx", "torch.export")
FILE_SUFFIXES = (".onnx", ".pt2", ".pth", ".pt", ".bin", ".ckpt", ".safetensors")

Network = nn.Module | Path
"""A module from (B, 3, H, W) images to logits, in evaluation mode, or an exported ``.onnx`` or ``.pt2`` file."""


def open_network(name: str, num_classes: int) -> Network:
    """Make or load the network that a name stands for.

    Args:
        name: as for :func:`find_network`.
        num_classes: outputs of the networks that are made with random weights.

    Raises:
        ConfigError: there is no such network.
        WeightsError: there are no such weights, or they cannot be read.
    """
    network = find_network(name, num_classes)()
    return network if isinstance(network, Path) else network.eval()


def find_network(name: str, num_classes: int) -> Callable[[], Network]:
    """Return what makes or loads the network of a name; hub ids are not looked up yet.

    Args:
        name: ``BACKBONE`` or ``BACKBONE+HEAD`` (random weights; a folder of that name is ``./BACKBONE``); a path or
            hub id that ``load_segmenter`` takes; an exported file; ``transformers:segformer-b0`` (random weights) or
            a hub id or folder of any model for semantic segmentation; ``torchvision:lraspp_mobilenet_v3_large``;
            ``python:package.module:function``, what a function returns.
        num_classes: outputs of the networks that are made with random weights.

    Raises:
        ConfigError: there is no such network.
    """
    library, _, rest = name.partition(":")
    if library == "python":
        module, _, function = rest.partition(":")
        if not function:
            raise ConfigError(f"'{rest}' is not of the form package.module:function")
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        factory = getattr(imported(module), function, None)
        if not callable(factory):
            raise ConfigError(f"{module} has no function '{function}'")
        return lambda: LogitsOf(factory())
    if library == "torchvision":
        models = imported("torchvision.models")
        known = models.list_models(module=models.segmentation)
        if rest not in known:
            raise ConfigError(f"there is no '{rest}'; {did_you_mean(rest, known)}")
        options = {"weights": None, "weights_backbone": None, "num_classes": num_classes}
        return lambda: LogitsOf(models.get_model(rest, **options))
    if library == "transformers":
        if rest not in SEGFORMERS and "/" not in rest and not Path(rest).exists():
            hint = did_you_mean(rest, SEGFORMERS)
            raise ConfigError(f"there is no '{rest}'; {hint} (or give a hub id, or a folder)")
        return partial(transformers_network, imported(library, "pip install transformers"), rest, num_classes)
    backbone, plus, head = name.partition("+")
    try:
        find_backbone(backbone)
    except ConfigError:
        path, is_file_name = Path(name).expanduser(), name.endswith(FILE_SUFFIXES)
        if path.exists() or (HUB_ID.fullmatch(name) and not is_file_name):
            return lambda: path if path.is_file() and file_kind(path) in EXPORTED else load_segmenter(name)
        if "/" in name or is_file_name:
            raise ConfigError("there is no such file or folder") from None
        raise
    if plus:
        find_head(head)
    return lambda: create_segmenter(backbone, num_classes, head=head or None)


def parameters_of(network: Network) -> int:
    """Return the number of parameters; of an exported file, the numbers that it stores as weights."""
    if isinstance(network, nn.Module):
        return count_parameters(network)
    if file_kind(network) == "onnx":
        model = imported("onnx", "pip install 'transkd[onnx]'").load(network, load_external_data=False)
        return sum(prod(tensor.dims) for tensor in model.graph.initializer if len(tensor.dims) > 0)
    from torch import export

    return sum(parameter.numel() for parameter in export.load(network).parameters())


class LogitsOf(nn.Module):
    """Gives the logits of a network whose output is a tensor, or a mapping or object with ``logits`` or ``out``.

    Raises:
        ConfigError: ``network`` is no module.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise ConfigError(f"the function returns a {type(network).__name__}, not a torch.nn.Module")
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of ``images`` (B, 3, H, W).

        Raises:
            ConfigError: the network gives nothing that can be taken for logits.
        """
        output: Any = self.network(images)
        get: Any = output.get if isinstance(output, Mapping) else lambda key: getattr(output, key, None)
        for value in (output, get("logits"), get("out")):
            if isinstance(value, Tensor):
                return value
        raise ConfigError(f"it returns a {type(output).__name__}; a tensor is needed, or 'logits' or 'out' in it")


def transformers_network(transformers: Any, name: str, num_classes: int) -> nn.Module:
    """Return one of ``SEGFORMERS`` with random weights, or the model of a hub id or a folder.

    Raises:
        WeightsError: its weights cannot be loaded.
    """
    if name in SEGFORMERS:
        size = SEGFORMERS[name]
        channels, depths = SIZES[size]
        config = transformers.SegformerConfig(
            depths=list(depths),
            hidden_sizes=list(channels),
            decoder_hidden_size=256 if size < 2 else 768,
            num_labels=num_classes,
        )
        return LogitsOf(transformers.SegformerForSemanticSegmentation(config))
    try:
        return LogitsOf(transformers.AutoModelForSemanticSegmentation.from_pretrained(name))
    except (OSError, ValueError) as error:
        raise WeightsError(f"transformers cannot load {name}: {first_line(error)}") from error


def imported(name: str, remedy: str = "") -> Any:
    """Return a module; one that cannot be imported is a ConfigError, with a remedy."""
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever the user's module does when it is imported
        why = f"{type(error).__name__}: {first_line(error)}"
        raise ConfigError(f"{name} cannot be imported ({why}){f'; {remedy}' if remedy else ''}") from error
