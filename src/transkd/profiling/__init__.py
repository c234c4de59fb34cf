"""What networks cost, side by side: parameters, multiply-accumulates, peak memory, latency."""

from transkd.profiling.cases import BACKENDS, PRECISIONS, Case, Row, Settings, all_cases, gmacs_json
from transkd.profiling.networks import Network, name_problem, open_network
from transkd.profiling.profiler import profile

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Case",
    "Network",
    "Row",
    "Settings",
    "all_cases",
    "gmacs_json",
    "name_problem",
    "open_network",
    "profile",
]
