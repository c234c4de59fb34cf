"""How a loader's worker processes behave."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from transkd.data.transforms import single_threaded_opencv


@contextmanager
def starting_workers() -> Iterator[None]:
    """Start workers in here: they and all their threads begin with Ctrl-C and SIGTERM blocked.

    A thread that a library starts as a process forks (wandb's do) comes before :func:`init_worker`; were it to take the
    signal, the worker would die of it. The parent gets what came meanwhile when this ends.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def init_worker(worker_id: int) -> None:
    """Keep a worker to one thread, and alive until its parent ends it.

    Args:
        worker_id: which worker this is; all do the same.
    """
    del worker_id
    single_threaded_opencv()
    torch.set_num_threads(1)
    outlive_group_signals()


def outlive_group_signals() -> None:
    """Ignore Ctrl-C and SIGTERM unless the parent sends them.

    A terminal, ``timeout`` and SLURM signal all processes of a group. Were workers to die of that, the run
    could not finish its step and save a checkpoint; it is the parent that decides. A worker whose parent is
    gone ends by itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_obey_parent, daemon=True).start()


def _obey_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
