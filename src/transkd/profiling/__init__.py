"""What networks cost, side by side: parameters, multiply-accumulates, peak memory, latency."""

from transkd.profiling.networks import find_network, open_network
from transkd.profiling.profiler import Row, profile
from transkd.profiling.runners import Case, Settings

__all__ = ["Case", "Row", "Settings", "find_network", "open_network", "profile"]
