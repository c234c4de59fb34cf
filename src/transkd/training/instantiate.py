"""``_target_`` in configs: only classes of a known kind, from packages that are allowed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from transkd.errors import ConfigError, did_you_mean

ALLOWED_PACKAGES = ("transkd", "torch", "timm", "lightning", "torchmetrics")
TARGET = "_target_"


def check_target(node: Mapping[str, Any], base: str, *, skip_first: bool = False) -> type:
    """Check that a config node names a class that may be made from a config, with options that it takes.

    Args:
        node: ``{"_target_": "package.Class", option: value, …}``.
        base: dotted name of the class that the target must derive from.
        skip_first: the target's first argument is not an option but given by the run.

    Returns:
        The class.

    Raises:
        ConfigError: for a target outside the allowed packages, that does not exist or is of another kind, and
            for options that it does not take.
    """
    target = node.get(TARGET)
    if not isinstance(target, str):
        raise ConfigError(f"needs {TARGET}: the dotted name of a class derived from {base}")
    if target.split(".")[0] not in ALLOWED_PACKAGES:
        raise ConfigError(f"{TARGET} '{target}' is refused: only classes of {', '.join(ALLOWED_PACKAGES)} may be named")
    kind, wanted = _locate(target), _locate(base)
    if not (inspect.isclass(kind) and issubclass(kind, wanted)):
        raise ConfigError(f"{TARGET} '{target}' is refused: it is not a class derived from {base}")
    known = list(inspect.signature(kind.__init__).parameters)[2 if skip_first else 1 :]
    for option in node.keys() - {TARGET}:
        if option not in known and "kwargs" not in known:
            raise ConfigError(f"{target} takes no option '{option}'; {did_you_mean(option, known)}")
    return kind


def make(node: Mapping[str, Any], base: str, *arguments: Any) -> Any:
    """Check a node as :func:`check_target` does and return an instance, made with ``arguments`` first.

    Raises:
        ConfigError: as :func:`check_target`, and where the class refuses the options' values.
    """
    kind = check_target(node, base, skip_first=bool(arguments))
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in node.items() if key != TARGET}
    try:
        return kind(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{node[TARGET]} refuses its options {options}: {error}") from error


def _locate(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{TARGET} '{name}' does not exist ({error})") from error
