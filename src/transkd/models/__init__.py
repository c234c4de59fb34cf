"""Segmenters: from image to taps and logits, and their weights in and out."""

from transkd.models.backbones import available_backbones
from transkd.models.create import create_segmenter
from transkd.models.load import load_segmenter
from transkd.models.segmenter import Segmenter
from transkd.models.taps import Taps

__all__ = ["Segmenter", "Taps", "available_backbones", "create_segmenter", "load_segmenter"]
