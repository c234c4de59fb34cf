"""``transkd-eval``: score a segmenter or an exported file by a stated protocol."""
