"""``transkd-profile``: what networks cost, side by side."""
