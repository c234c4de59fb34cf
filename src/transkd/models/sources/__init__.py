"""Where segmenters come from: folders, files and the hub, told apart by what they hold."""

from transkd.models.sources.find import find_segmenter
from transkd.models.sources.found import Found
from transkd.models.sources.tensors import read_state

__all__ = ["Found", "find_segmenter", "read_state"]
