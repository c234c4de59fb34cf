"""Sweeps: many jobs by one command."""
