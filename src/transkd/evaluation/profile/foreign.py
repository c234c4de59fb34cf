"""Networks of other libraries and of the user's own, by name: each from images to class logits."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from transkd.errors import ConfigError, WeightsError, did_you_mean
from transkd.evaluation.profile.reasons import first_line

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


@dataclass(frozen=True)
class Door:
    """How the networks behind a prefix are found.

    Attributes:
        check: raises a ``ConfigError`` where there can be no network of a name.
        build: makes or loads the network of a name; with random weights, of as many classes as it is told.
    """

    check: Callable[[str], None]
    build: Callable[[str, int], nn.Module]


def _check_transformers(name: str) -> None:
    _module("transformers", "it is not installed; pip install transformers")
    if name not in SEGFORMERS and "/" not in name and not Path(name).exists():
        raise ConfigError(f"there is no '{name}'; {did_you_mean(name, SEGFORMERS)} (or give a hub id, or a folder)")


def _build_transformers(name: str, num_classes: int) -> nn.Module:
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


def _check_torchvision(name: str) -> None:
    models = importlib.import_module("torchvision.models")
    known = models.list_models(module=models.segmentation)
    if name not in known:
        raise ConfigError(f"there is no '{name}'; {did_you_mean(name, known)}")


def _build_torchvision(name: str, num_classes: int) -> nn.Module:
    models = importlib.import_module("torchvision.models")
    options: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": num_classes}
    return cast(nn.Module, models.get_model(name, **options))


def _factory(name: str) -> Callable[[], object]:
    module_name, colon, function = name.partition(":")
    if not (module_name and colon and function):
        raise ConfigError(f"'{name}' is not of the form package.module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    factory = getattr(_module(module_name, f"it is neither installed nor in {here}"), function, None)
    if not callable(factory):
        raise ConfigError(f"{module_name} has no function '{function}'")
    return cast("Callable[[], object]", factory)


def _check_python(name: str) -> None:
    _factory(name)


def _build_python(name: str, _: int) -> nn.Module:
    network = _factory(name)()
    if not isinstance(network, nn.Module):
        raise ConfigError(f"{name} returns a {type(network).__name__}, not a torch.nn.Module")
    return network


DOORS = {
    "transformers": Door(_check_transformers, _build_transformers),
    "torchvision": Door(_check_torchvision, _build_torchvision),
    "python": Door(_check_python, _build_python),
}
"""Networks by prefix: ``transformers:segformer-b0`` (random weights) or a hub id or folder of any model for semantic
segmentation; ``torchvision:lraspp_mobilenet_v3_large``; ``python:package.module:function``, what a function returns."""


def _module(name: str, otherwise: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"there is no module {name}: {otherwise}") from error
        raise ConfigError(f"{name} cannot be imported: {error}") from error
    except Exception as error:  # whatever the user's module does when it is imported
        raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {first_line(error)}") from error
