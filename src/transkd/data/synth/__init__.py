"""Synthetic street scenes in Cityscapes' own layout and label ids."""

from __future__ import annotations

from .scene import Scene, draw_scene
from .writer import WriteReport, write_scenes

__all__ = ["Scene", "WriteReport", "draw_scene", "write_scenes"]
