"""One pass of a network: on torch as it is or compiled, on ONNX Runtime, or of a torch.export program."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transkd.errors import ConfigError, TransKDError, first_line
from transkd.models.weights import file_kind
from transkd.profiling.networks import Network, imported

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COMPILED_CASES = 256
"""More compiled cases than a program can have: torch.compile falls back to eager past its own limit of 8."""

OUT_OF_MEMORY = "not enough memory"
ALLOCATORS = ("can't allocate memory", "DefaultCPUAllocator", "bad_alloc", "Failed to allocate memory")
LONGEST = 300

Run = Callable[[], object]
"""Does one pass; on a GPU it returns before the pass has ended."""


@dataclass(frozen=True)
class Case:
    """One way to measure one network.

    Attributes:
        model: its name, as the user wrote it.
        size: height and width in pixels.
        batch: images a pass.
        precision: a name of ``PRECISIONS``; ``"file"`` for an exported file, which has its own.
        backend: ``"eager"``, ``"compiled"``, ``"onnx"`` or ``"torch.export"``.
    """

    model: str
    size: tuple[int, int]
    batch: int
    precision: str
    backend: str


@dataclass(frozen=True)
class Settings:
    """How cases are measured.

    Attributes:
        device: ``"cpu"`` or ``"cuda"``.
        threads: CPU threads of torch and ONNX Runtime.
        runs: timed passes of each case.
        warm_up: passes of each case before them.
        num_classes: outputs of networks that are made with random weights.
        latency: whether anything runs; only counted otherwise.
        memory: whether peak memory is measured, where anything runs.
    """

    device: str
    threads: int
    runs: int
    warm_up: int
    num_classes: int
    latency: bool = True
    memory: bool = True


def make_run(network: Network, case: Case, settings: Settings) -> Run:
    """Put a network on its device in its precision, and return what does one pass; the first one compiles.

    Images are random, in [0, 1], on the device already.

    Raises:
        ConfigError: the back end is not there, or cannot run on the device.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(case.batch, 3, *case.size, generator=generator).to(settings.device)
    limit: Any = nullcontext()
    if not isinstance(network, Path):
        images = images.to(PRECISIONS[case.precision])
        module: Any = copy.deepcopy(network).to(settings.device, images.dtype)
        if case.backend == "compiled":
            module = torch.compile(module, dynamic=False)
            limit = torch._dynamo.config.patch(recompile_limit=COMPILED_CASES)
    elif file_kind(network) == "onnx":
        return onnx_run(network, images, settings)
    else:
        from torch import export

        program: Any = export.load(network)
        images = as_type(images, program.example_inputs[0][0].dtype if program.example_inputs else torch.float32)
        module = program.module().to(settings.device)

    @torch.inference_mode()
    def run() -> object:
        with limit:
            return module(images)

    return run


def onnx_run(path: Path, images: Tensor, settings: Settings) -> Run:
    """Return what does one pass of an ONNX file, whose input's type the images are brought to."""
    onnxruntime = imported("onnxruntime", "pip install 'transkd[onnx]'")
    provider = "CUDAExecutionProvider" if settings.device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise ConfigError(f"this onnxruntime has no {provider}: pip install onnxruntime-gpu, or device=cpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    expected = session.get_inputs()[0]
    dtypes = {"tensor(uint8)": torch.uint8, "tensor(float16)": torch.float16}
    values = as_type(images.cpu(), dtypes.get(expected.type, torch.float32)).numpy()
    return lambda: session.run(None, {expected.name: values})


def as_type(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return images in [0, 1] as another type; integers are 0 to 255."""
    return (255 * images).to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)


def milliseconds(run: Run, device: str) -> float:
    """Return how long one pass takes, by CUDA events on a GPU, else by the clock."""
    if device == "cuda":
        events: Any = torch.cuda.Event
        start, end = events(enable_timing=True), events(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))
    begin = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - begin)


def reason(error: BaseException) -> str:
    """Return, in one line, why a network could not be measured."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in text for words in ALLOCATORS):
        return OUT_OF_MEMORY
    if isinstance(error, TransKDError):
        return " ".join(text.split())
    return f"{type(error).__name__}: {first_line(error)[:LONGEST]}"
