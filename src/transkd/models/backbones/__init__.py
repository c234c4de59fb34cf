"""Backbones: hierarchical transformers that show each stage's patch embedding and feature map."""

from transkd.models.backbones.base import Backbone, BackboneEntry
from transkd.models.backbones.registry import available_backbones, find_backbone, register_backbone

__all__ = ["Backbone", "BackboneEntry", "available_backbones", "find_backbone", "register_backbone"]
