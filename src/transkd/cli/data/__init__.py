"""``transkd-data``: get, check, convert and draw datasets."""
