"""What networks cost, side by side: parameters, multiply-accumulates, peak memory, latency."""

from transkd.profiling.cases import Case, Row, Settings, all_cases
from transkd.profiling.networks import Network, name_problem, open_network
from transkd.profiling.profiler import profile

__all__ = ["Case", "Network", "Row", "Settings", "all_cases", "name_problem", "open_network", "profile"]
