"""``_target_`` in configs: only classes of a known kind, from packages that are allowed."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from types import ModuleType
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
    problems = target_problems(node, base, skip_first=skip_first)
    if problems:
        raise ConfigError("; ".join(problems))
    kind = _locate(node[TARGET], _locate(base))
    assert isinstance(kind, type)
    return kind


def target_problems(node: Mapping[str, Any], base: str, *, skip_first: bool = False) -> list[str]:
    """List what :func:`check_target` objects to, one line each; nothing outside the allowed packages is imported."""
    target = node.get(TARGET)
    if not isinstance(target, str):
        return [f"needs {TARGET}: the dotted name of a class derived from {base}"]
    if target.split(".")[0] not in ALLOWED_PACKAGES:
        return [f"{TARGET} '{target}' is refused: only classes of {', '.join(ALLOWED_PACKAGES)} may be named"]
    try:
        wanted = _locate(base)
        kind = _locate(target, wanted)
    except ConfigError as error:
        return [str(error)]
    if not (inspect.isclass(kind) and issubclass(kind, wanted)):
        return [f"{TARGET} '{target}' is refused: it is not a class derived from {base}"]
    parameters = list(inspect.signature(kind.__init__).parameters.values())[2 if skip_first else 1 :]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return []
    known = [parameter.name for parameter in parameters]
    return [
        f"{target} takes no option '{option}'; {did_you_mean(option, known)}"
        for option in node
        if option not in (TARGET, *known)
    ]


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


def _locate(name: str, base: type | None = None) -> Any:
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{TARGET} '{name}' does not exist ({error})") from error
    if not hasattr(module, attribute):
        hint = f"; {did_you_mean(attribute, _classes(module, base))}" if base else ""
        raise ConfigError(f"{TARGET} '{name}' does not exist: {module_name} has no '{attribute}'{hint}")
    return getattr(module, attribute)


def _classes(module: ModuleType, base: type) -> list[str]:
    return [name for name, kind in vars(module).items() if inspect.isclass(kind) and issubclass(kind, base)]
