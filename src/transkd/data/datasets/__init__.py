"""The datasets by name. To add one, write a :class:`Layout` with its ``find`` function and list it here."""

from __future__ import annotations

import inspect
from pathlib import Path

from transkd.data.datasets.acdc import ACDC_LAYOUT
from transkd.data.datasets.camvid import CAMVID_LAYOUT
from transkd.data.datasets.cityscapes import CITYSCAPES_LAYOUT
from transkd.data.datasets.layout import Layout, Scenes, check_root
from transkd.errors import ConfigError, did_you_mean

_LAYOUTS = {layout.name: layout for layout in (CITYSCAPES_LAYOUT, ACDC_LAYOUT, CAMVID_LAYOUT)}

__all__ = ["Layout", "Scenes", "available_datasets", "find_scenes", "get_layout"]


def available_datasets() -> tuple[str, ...]:
    """Name the datasets that :func:`find_scenes` knows."""
    return tuple(sorted(_LAYOUTS))


def get_layout(name: str) -> Layout:
    """Look up how a dataset lies on disk.

    Raises:
        ConfigError: if there is no such dataset; says which there are.
    """
    if name not in _LAYOUTS:
        raise ConfigError(f"There is no dataset '{name}': {did_you_mean(name, _LAYOUTS)}")
    return _LAYOUTS[name]


def find_scenes(name: str, root: Path | str, split: str, **options: object) -> Scenes:
    """Find the scenes of one split.

    Args:
        name: one of :func:`available_datasets`.
        root: the dataset's folder; relative paths and ``~`` are fine.
        split: the split's name.
        **options: what else the dataset takes (ACDC: ``conditions``).

    Returns:
        The scenes.

    Raises:
        ConfigError: if the dataset or an option does not exist.
        DataError: if files are missing; says which, the layout expected and where the data is had.
    """
    layout = get_layout(name)
    known = [key for key in inspect.signature(layout.find).parameters if key not in ("root", "split")]
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known) if known else "it takes none"
            raise ConfigError(f"{layout.title} has no option '{key}': {hint}")
    return layout.find(check_root(layout, root), split, **options)
