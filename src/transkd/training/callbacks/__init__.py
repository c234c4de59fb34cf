"""Lightning callbacks of a training run, each with one job."""

from transkd.training.callbacks.checkpoints import RunCheckpoints, StopRequestedError
from transkd.training.callbacks.clock import RunClock
from transkd.training.callbacks.ema import StudentEMA
from transkd.training.callbacks.finite import FiniteGuard
from transkd.training.callbacks.first_gradients import FirstGradients
from transkd.training.callbacks.loss_time import LossTime
from transkd.training.callbacks.pictures import ScenePictures
from transkd.training.callbacks.progress import EpochBar, LineProgress
from transkd.training.callbacks.rng import RandomState
from transkd.training.callbacks.throughput import Throughput

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
