"""``transkd-predict``: segment pictures and videos with a segmenter or an exported file."""
