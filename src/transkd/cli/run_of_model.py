"""The training run that a model lies in, as far as its config tells what other commands want to know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

RUN_CONFIG = "config.yaml"


def config_of_run(source: str) -> tuple[dict[str, Any], Path] | None:
    """Return the config of the run that a model was trained in, if it lies in the run's folder."""
    path = Path(source).expanduser()
    for folder in (path, path.parent, path.parent.parent)[: 3 if path.is_file() else 2]:
        file = folder / RUN_CONFIG
        if not file.is_file():
            continue
        try:
            values = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
        except (YAMLError, OmegaConfBaseException, UnicodeDecodeError, OSError):
            return None
        if isinstance(values, dict) and isinstance(values.get("data"), dict) and "student" in values:
            return {str(key): value for key, value in values.items()}, file
    return None


def input_size_of_run(source: str) -> tuple[int | list[int], Path] | None:
    """Return what a model's training run resized images to, a short side or [height, width], and the config."""
    found = config_of_run(source)
    if found is None:
        return None
    values, path = found
    size = values["data"].get("size")
    sides = size if isinstance(size, list) else [size]
    if not sides or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    return size, path
