"""Synthetic street scenes in Cityscapes' own layout and label ids."""

from __future__ import annotations

from .layout import SceneSet
from .scene import Scene, draw_scene
from .writer import WriteReport, write_scenes

__all__ = ["Scene", "SceneSet", "WriteReport", "draw_scene", "write_scenes"]
