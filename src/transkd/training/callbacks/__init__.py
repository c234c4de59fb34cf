"""Lightning callbacks of a training run."""

from transkd.training.callbacks.checkpoints import RandomState, RunCheckpoints, StopRequestedError
from transkd.training.callbacks.ema import StudentEMA
from transkd.training.callbacks.gradients import FiniteGuard, FirstGradients
from transkd.training.callbacks.pictures import ScenePictures
from transkd.training.callbacks.progress import EpochBar, LineProgress
from transkd.training.callbacks.timing import LossTime, RunClock, Throughput

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
