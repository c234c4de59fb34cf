"""Overrides as people type them, and as Hydra takes them: what a section takes besides its own keys needs a ``++``."""

from __future__ import annotations

OPEN_SECTIONS = ("augment.options", "callbacks", "data.options", "distillation.losses")
OPEN_GROUPS = ("optimizer", "trainer")
"""Sections, and groups of a config, that take any option."""
_BELOW_OPEN = tuple(f"{section}." for section in (*OPEN_SECTIONS, *OPEN_GROUPS))


def takes_any_option(key: str) -> bool:
    """Return whether a key is one of a section that takes any, such as ``trainer.profiler``."""
    return key in OPEN_SECTIONS or key.startswith(_BELOW_OPEN)


def as_typed(override: str) -> str:
    """Return an override without the ``++`` that nobody has to type: ``trainer.profiler=simple``."""
    key = override.partition("=")[0]
    return override.lstrip("+") if key.startswith("++") and takes_any_option(key.lstrip("+")) else override
