"""Formats of state dicts: which one a file is in, and its tensors under a segmenter's names."""
