"""Synthetic street scenes in Cityscapes' own layout and label ids."""

from __future__ import annotations

from .scene import Scene, draw_scene
from .writer import SceneSet, WriteReport, write_scenes

__all__ = ["Scene", "SceneSet", "WriteReport", "draw_scene", "write_scenes"]
