"""The methods there are in ``conf/distillation``, and the losses that each stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml  # type: ignore[import-untyped]

PACKAGE = Path(__file__).resolve().parents[1]
FOLDERS = PACKAGE / "conf" / "distillation", PACKAGE.parents[1] / "conf" / "distillation"
"""In an installed wheel, and in a checkout."""


@cache
def ready_methods() -> Mapping[str, tuple[str, ...]]:
    """Return the name of each ready method and its losses, those of the methods that it is made from first."""
    files = [file for folder in FOLDERS for file in sorted(folder.glob("*.yaml"))]
    return {file.stem: tuple(dict.fromkeys(_losses(file))) for file in files}


def _losses(file: Path) -> Iterator[str]:
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    for base in values.get("defaults", ()):
        if base != "_self_":
            yield from _losses(file.with_name(f"{base}.yaml"))
    yield from values.get("losses", {})
