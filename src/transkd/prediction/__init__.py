"""Predictions for pictures and videos on disk: what is read, what is computed, what is drawn and written."""
