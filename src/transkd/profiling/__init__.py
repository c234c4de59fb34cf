"""What networks cost, side by side: parameters, multiply-accumulates, peak memory, latency."""

from transkd.profiling.cases import BACKENDS, PRECISIONS, Case, Row, Settings, all_cases, gmacs_json
from transkd.profiling.counting import Macs, count_network, count_work
from transkd.profiling.networks import Network, name_problem, open_network
from transkd.profiling.profiler import profile

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "Case",
    "Macs",
    "Network",
    "Row",
    "Settings",
    "all_cases",
    "count_network",
    "count_work",
    "gmacs_json",
    "name_problem",
    "open_network",
    "profile",
]
