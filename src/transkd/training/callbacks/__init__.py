"""Lightning callbacks of a training run."""

from transkd.training.callbacks.checkpoints import RandomState, RunCheckpoints, StopRequestedError
from transkd.training.callbacks.losses import FirstGradients, LossTime
from transkd.training.callbacks.pictures import ScenePictures
from transkd.training.callbacks.timing import EpochBar, LineProgress, RunClock, Throughput
from transkd.training.callbacks.weights import FiniteGuard, StudentEMA

__all__ = [
    "EpochBar",
    "FiniteGuard",
    "FirstGradients",
    "LineProgress",
    "LossTime",
    "RandomState",
    "RunCheckpoints",
    "RunClock",
    "ScenePictures",
    "StopRequestedError",
    "StudentEMA",
    "Throughput",
]
