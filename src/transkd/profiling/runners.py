"""One pass of a case: on torch as it is or compiled, on ONNX Runtime, or of a torch.export program; and its latency."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from transkd.errors import ConfigError
from transkd.profiling.cases import PRECISIONS, Case, Row, Settings, reason
from transkd.profiling.networks import Network, imported

COMPILED_CASES = 256
"""More compiled cases than a program can have: torch.compile falls back to eager past its own limit of 8."""


@dataclass(frozen=True)
class Runner:
    """A network with its input, prepared to run.

    Attributes:
        run: does one pass; on a GPU it returns before the pass has ended.
        weight_bytes: size of the network's parameters and buffers.
        first_pass_s: seconds of the first pass of a compiled network, None for others.
    """

    run: Callable[[], object]
    weight_bytes: int = 0
    first_pass_s: float | None = None


def make_runner(network: Network, case: Case, settings: Settings) -> Runner:
    """Put a network on its device in its precision, and compile it where the case is compiled.

    Images are random, in [0, 1], on the device already.

    Raises:
        ConfigError: the back end is not there, or cannot run on the device.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(case.batch, 3, *case.size, generator=generator).to(settings.device)
    if case.backend == "onnx":
        return onnx_runner(Path(case.file), images, settings)
    if case.backend == "torch.export":
        return program_runner(Path(case.file), images, settings)
    assert network.module is not None
    dtype = PRECISIONS[case.precision]
    module = copy.deepcopy(network.module).to(settings.device, dtype)
    if case.backend == "compiled":
        return compiled_runner(module, images.to(dtype))
    return module_runner(module, images.to(dtype))


def module_runner(module: nn.Module, images: Tensor) -> Runner:
    """Return a runner of a module that is on the images' device."""

    @torch.inference_mode()
    def run() -> object:
        return module(images)

    state = (*module.parameters(), *module.buffers())
    return Runner(run, sum(tensor.numel() * tensor.element_size() for tensor in state))


def compiled_runner(module: nn.Module, images: Tensor) -> Runner:
    """Return a runner of a module that ``torch.compile`` has compiled in a first pass."""
    compiled = torch.compile(module, dynamic=False)

    @torch.inference_mode()
    def run() -> object:
        with torch._dynamo.config.patch(recompile_limit=COMPILED_CASES):
            return compiled(images)

    start = time.perf_counter()
    run()
    if images.is_cuda:
        torch.cuda.synchronize()
    return Runner(run, module_runner(module, images).weight_bytes, time.perf_counter() - start)


def onnx_runner(path: Path, images: Tensor, settings: Settings) -> Runner:
    """Return a runner of an ONNX file, whose input's type the images are brought to."""
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
    return Runner(lambda: session.run(None, {expected.name: values}))


def program_runner(path: Path, images: Tensor, settings: Settings) -> Runner:
    """Return a runner of a torch.export program, whose input's type the images are brought to."""
    from torch import export

    program: Any = export.load(path)
    expected = program.example_inputs[0][0].dtype if program.example_inputs else torch.float32
    return module_runner(cast(nn.Module, program.module()).to(settings.device), as_type(images, expected))


def as_type(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return images in [0, 1] as another type; integers are 0 to 255."""
    return (255 * images).to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)


def milliseconds(run: Callable[[], object], device: str) -> float:
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


def time_in_turns(prepared: Iterable[tuple[Row, Runner]], settings: Settings, step: Callable[[], None]) -> None:
    """Time runners in rounds, each once a round, every round in another order; their rows keep the times.

    What else the machine does falls on all alike. A runner that fails leaves its reason in its row, without times,
    and the others continue.

    Args:
        prepared: rows, each with what it times.
        settings: how often, and where.
        step: called after every pass.
    """
    order = list(prepared)
    shuffle = random.Random(0).shuffle
    for turn in range(settings.warm_up + settings.runs):
        shuffle(order)
        for row, runner in order:
            if row.problem is None:
                try:
                    taken = milliseconds(runner.run, settings.device)
                except Exception as error:  # of any library
                    row.problem, row.latencies_ms = reason(error), []
                else:
                    row.latencies_ms += [taken] if turn >= settings.warm_up else []
            step()
