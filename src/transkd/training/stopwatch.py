"""Seconds of the parts of a training step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Stopwatch:
    """Add up the seconds of a training step's parts; on a GPU each part is waited for.

    Args:
        device: where the step is computed.

    Attributes:
        seconds: part -> seconds so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self._backward: float | None = None

    def now(self) -> float:
        """Return the time when the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def add(self, part: str, since: float) -> None:
        """Add the time since ``since`` to a part."""
        self.seconds[part] = self.seconds.get(part, 0.0) + self.now() - since

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add what happens within the context to a part."""
        start = self.now()
        yield
        self.add(part, start)

    def start_backward(self) -> None:
        """Begin the part of the backward pass that :meth:`end_at_gradient_of` ends."""
        self._backward = self.now()

    def end_at_gradient_of(self, term: Tensor, part: str) -> None:
        """Add the backward pass up to ``term``'s own gradient to a part.

        Autograd runs what was computed last first: all that was computed after ``term`` is done by then.
        """

        def reached(_: Tensor) -> None:
            if self._backward is not None:
                self.add(part, self._backward)
                self._backward = None

        if term.requires_grad:
            term.register_hook(reached)  # type: ignore[no-untyped-call]
