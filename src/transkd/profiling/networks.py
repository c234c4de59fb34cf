"""What a user may name to be measured: backbones, saved segmenters, exported files, networks of other libraries."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError, did_you_mean, first_line
from transkd.evaluation.cost import count_parameters
from transkd.models import Segmenter, create_segmenter, load_segmenter
from transkd.models.backbones import find_backbone
from transkd.models.file_kinds import FileKind, file_kind
from transkd.models.heads import find_head

SEGFORMER_DEPTHS = {
    0: (2, 2, 2, 2),
    1: (2, 2, 2, 2),
    2: (3, 4, 6, 3),
    3: (3, 4, 18, 3),
    4: (3, 8, 27, 3),
    5: (3, 6, 40, 3),
}
SEGFORMERS = tuple(f"segformer-b{size}" for size in SEGFORMER_DEPTHS)
OUTPUTS = ("logits", "out")
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
    """Return why there can be no network of this name, None where there can; hub ids are not looked up."""
    library, colon, rest = name.partition(":")
    try:
        if colon and library in LIBRARIES:
            check_library_name(library, rest)
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
            hub id that ``load_segmenter`` takes, an exported ``.onnx`` or ``.pt2`` file, or a prefix of ``LIBRARIES``,
            a colon and a name.
        num_classes: outputs of the networks that are made with random weights.

    Raises:
        ConfigError: there is no such network.
        WeightsError: there are no such weights, or they cannot be read.
    """
    library, colon, rest = name.partition(":")
    if colon and library in LIBRARIES:
        return Network(name, LogitsOf(LIBRARIES[library](rest, num_classes)).eval())
    if is_saved(name):
        path = Path(name).expanduser()
        if path.is_file() and (runtime := EXPORTED.get(file_kind(path))):
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
        return onnx_parameters(network.file)
    from torch import export

    program = export.load(network.file)
    return sum(parameter.numel() for parameter in program.parameters())


def onnx_parameters(path: Path) -> int:
    """Return how many numbers an ONNX file stores as weights; scalars are none."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ConfigError("reading ONNX files needs onnx: pip install 'transkd[onnx]'") from error
    weights = onnx.load(path, load_external_data=False).graph.initializer
    return sum(prod(tensor.dims) for tensor in weights if len(tensor.dims) > 0)


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
        if isinstance(output, Tensor):
            return output
        for key in OUTPUTS:
            found = output.get(key) if isinstance(output, Mapping) else getattr(output, key, None)
            if isinstance(found, Tensor):
                return found
        raise ConfigError(
            f"it returns a {type(output).__name__}; a tensor, or logits by the name of {OUTPUTS}, is needed"
        )


def transformers_network(name: str, num_classes: int) -> nn.Module:
    """Return transformers' SegFormer with random weights, or what a hub id or folder holds.

    Raises:
        WeightsError: it cannot be loaded.
    """
    library = importlib.import_module("transformers")
    if name not in SEGFORMERS:
        try:
            return cast(nn.Module, library.AutoModelForSemanticSegmentation.from_pretrained(name))
        except (OSError, ValueError) as error:
            raise WeightsError(f"transformers cannot load {name}: {first_line(error)}") from error
    size = int(name[-1])
    config = library.SegformerConfig(
        depths=list(SEGFORMER_DEPTHS[size]),
        hidden_sizes=[32, 64, 160, 256] if size == 0 else [64, 128, 320, 512],
        decoder_hidden_size=256 if size < 2 else 768,
        num_labels=num_classes,
    )
    return cast(nn.Module, library.SegformerForSemanticSegmentation(config))


def torchvision_network(name: str, num_classes: int) -> nn.Module:
    """Return a segmenter of torchvision with random weights."""
    models = importlib.import_module("torchvision.models")
    options: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": num_classes}
    return cast(nn.Module, models.get_model(name, **options))


def python_network(name: str, _: int) -> nn.Module:
    """Return the network that a function ``package.module:function`` makes."""
    network = python_function(name)()
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{name} returns a {type(network).__name__}, not a torch.nn.Module")
    return network


LIBRARIES = {"transformers": transformers_network, "torchvision": torchvision_network, "python": python_network}
"""Networks by prefix: ``transformers:segformer-b0`` (random weights) or a hub id or folder of any model for semantic
segmentation; ``torchvision:lraspp_mobilenet_v3_large``; ``python:package.module:function``, what a function returns."""


def check_library_name(library: str, name: str) -> None:
    """Raise a ConfigError where a library has no network of a name; hub ids are not looked up."""
    if library == "python":
        python_function(name)
    elif library == "torchvision":
        models = importlib.import_module("torchvision.models")
        known = models.list_models(module=models.segmentation)
        if name not in known:
            raise ConfigError(f"there is no '{name}'; {did_you_mean(name, known)}")
    else:
        imported("transformers", "it is not installed; pip install transformers")
        if name not in SEGFORMERS and "/" not in name and not Path(name).exists():
            raise ConfigError(f"there is no '{name}'; {did_you_mean(name, SEGFORMERS)} (or give a hub id, or a folder)")


def python_function(name: str) -> Callable[[], object]:
    """Return the function ``package.module:function``, also of a module in the current folder."""
    module_name, colon, function = name.partition(":")
    if not (module_name and colon and function):
        raise ConfigError(f"'{name}' is not of the form package.module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    factory = getattr(imported(module_name, f"it is neither installed nor in {here}"), function, None)
    if not callable(factory):
        raise ConfigError(f"{module_name} has no function '{function}'")
    return cast("Callable[[], object]", factory)


def imported(name: str, otherwise: str) -> Any:
    """Return a module; where there is none, raise a ConfigError that says ``otherwise``."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"there is no module {name}: {otherwise}") from error
        raise ConfigError(f"{name} cannot be imported: {error}") from error
    except Exception as error:  # whatever the user's module does when it is imported
        raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {first_line(error)}") from error
