"""What is measured, and its results: a case is one network at one size, batch, precision and back end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

import torch

from transkd.errors import TransKDError, first_line
from transkd.evaluation.cost import Macs

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Size = tuple[int, int]
OUT_OF_MEMORY = "not enough memory"
LONGEST = 300
ALLOCATORS = ("can't allocate memory", "DefaultCPUAllocator", "bad_alloc", "Failed to allocate memory")


@dataclass(frozen=True)
class Case:
    """One network, ready to be measured in one way.

    Attributes:
        model: its name, as the user wrote it.
        size: height and width in pixels.
        batch: images a pass.
        precision: a name of ``PRECISIONS``; ``"file"`` for an exported file, which has its own.
        backend: ``"eager"``, ``"compiled"``, ``"onnx"`` or ``"torch.export"``.
        num_classes: outputs of a network that is made with random weights.
        file: the exported file that runs; "" where a module does.
    """

    model: str
    size: Size
    batch: int
    precision: str
    backend: str
    num_classes: int
    file: str = ""


@dataclass(frozen=True)
class Settings:
    """How cases are measured.

    Attributes:
        device: ``"cpu"`` or ``"cuda"``.
        threads: CPU threads of torch and ONNX Runtime.
        runs: timed passes of each case.
        warm_up: passes of each case before them.
        latency: whether anything is timed.
        memory: whether peak memory is measured.
    """

    device: str
    threads: int
    runs: int
    warm_up: int
    latency: bool = True
    memory: bool = True


@dataclass
class Row:
    """What a case costs; None is what was not measured.

    Attributes:
        case: what was measured.
        parameters: of the network, without adapters.
        macs: of one image.
        peak_mb: peak memory of a pass with the network's weights, in 10^6 bytes.
        latencies_ms: of each timed pass.
        first_pass_s: seconds of the first pass of a compiled network, compilation included.
        problem: why a measurement failed.
    """

    case: Case
    parameters: int | None = None
    macs: Macs | None = None
    peak_mb: float | None = None
    latencies_ms: list[float] = field(default_factory=list)
    first_pass_s: float | None = None
    problem: str | None = None

    @property
    def title(self) -> str:
        """The row's name in messages."""
        height, width = self.case.size
        return (
            f"{self.case.model} ({height}x{width}, batch {self.case.batch}, {self.case.precision}, {self.case.backend})"
        )

    @property
    def median_ms(self) -> float | None:
        """Median milliseconds of a pass."""
        return quantile(self.latencies_ms, 0.5)

    @property
    def p95_ms(self) -> float | None:
        """The milliseconds that 95 of 100 passes stay within."""
        return quantile(self.latencies_ms, 0.95)

    @property
    def images_per_second(self) -> float | None:
        """Images a second at the median."""
        return None if self.median_ms is None else 1e3 * self.case.batch / self.median_ms

    def as_json(self) -> dict[str, Any]:
        """Return the row in plain containers."""
        case = {key: value for key, value in asdict(self.case).items() if key not in ("num_classes", "file")}
        timed = {"median": self.median_ms, "p95": self.p95_ms, "runs": self.latencies_ms}
        return {
            **case,
            "size": list(self.case.size),
            "parameters": self.parameters,
            "gmacs": self.macs and self.macs.in_giga(),
            "peak_memory_mb": self.peak_mb,
            "latency_ms": timed if self.latencies_ms else None,
            "images_per_second": self.images_per_second,
            "first_pass_s": self.first_pass_s,
            "problem": self.problem,
        }


def all_cases(
    names: Sequence[str],
    sizes: Sequence[Size],
    batches: Sequence[int],
    precisions: Sequence[str],
    backends: Sequence[str],
    num_classes: int,
) -> Iterator[Case]:
    """Yield every combination, a network's cases together."""
    for name, size, batch, precision, backend in product(names, sizes, batches, precisions, backends):
        yield Case(name, size, batch, precision, backend, num_classes)


def quantile(values: Sequence[float], share: float) -> float | None:
    """Return the quantile of values at a share of them, interpolated; None where there are none."""
    return torch.tensor(values, dtype=torch.float64).quantile(share).item() if values else None


def reason(error: BaseException) -> str:
    """Return, in one line, why a network could not be measured."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in ALLOCATORS):
        return OUT_OF_MEMORY
    if isinstance(error, TransKDError):
        return " ".join(text.split())
    return f"{type(error).__name__}: {first_line(error)[:LONGEST]}"
