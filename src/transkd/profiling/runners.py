"""One pass of a case: on torch as it is or compiled, on ONNX Runtime, or of a torch.export program."""

from __future__ import annotations

import copy
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from transkd.errors import ConfigError
from transkd.profiling.cases import PRECISIONS, Case, Settings
from transkd.profiling.networks import Network

COMPILED_CASES = 256
"""More compiled cases than a program can have: torch.compile falls back to eager past its own limit of 8."""


@dataclass(frozen=True)
class Runner:
    """A network with its input, ready to run.

    Attributes:
        run: does one pass; on a GPU it returns before the pass has ended.
        weight_bytes: what the network's parameters and buffers take.
        first_pass_s: seconds of the first pass of a compiled network, None for others.
    """

    run: Callable[[], object]
    weight_bytes: int = 0
    first_pass_s: float | None = None


def make_runner(network: Network, case: Case, settings: Settings) -> Runner:
    """Put a network on its device in its precision, and compile it where the case says so.

    Images are random, in [0, 1], on the device already.

    Raises:
        ConfigError: the back end is not there, or cannot run on the device.
    """
    if case.backend == "onnx":
        return _onnx_runner(Path(case.file), case, settings)
    if case.backend == "torch.export":
        return _program_runner(Path(case.file), case, settings)
    assert network.module is not None
    dtype = PRECISIONS[case.precision]
    module = copy.deepcopy(network.module).to(settings.device, dtype)
    runner = _module_runner(module, _images(case, settings).to(dtype))
    return _compiled(runner, module, _images(case, settings).to(dtype)) if case.backend == "compiled" else runner


def _images(case: Case, settings: Settings) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(case.batch, 3, *case.size, generator=generator).to(settings.device)


def _module_runner(module: nn.Module, images: Tensor) -> Runner:
    @torch.inference_mode()
    def run() -> object:
        return module(images)

    state = (*module.parameters(), *module.buffers())
    return Runner(run, sum(tensor.numel() * tensor.element_size() for tensor in state))


def _compiled(runner: Runner, module: nn.Module, images: Tensor) -> Runner:
    compiled = torch.compile(module, dynamic=False)

    @torch.inference_mode()
    def run() -> object:
        with torch._dynamo.config.patch(recompile_limit=COMPILED_CASES):
            return compiled(images)

    start = time.perf_counter()
    run()
    if images.is_cuda:
        torch.cuda.synchronize()
    return Runner(run, runner.weight_bytes, time.perf_counter() - start)


def _onnx_runner(path: Path, case: Case, settings: Settings) -> Runner:
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise ConfigError("running ONNX files needs ONNX Runtime: pip install 'transkd[onnx]'") from error
    provider = "CUDAExecutionProvider" if settings.device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise ConfigError(f"this onnxruntime has no {provider}: pip install onnxruntime-gpu, or device=cpu")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    given = session.get_inputs()[0]
    images = _of_kind(_images(case, settings).cpu(), given.type).numpy()
    return Runner(lambda: session.run(None, {given.name: images}))


def _of_kind(images: Tensor, kind: str) -> Tensor:
    """Return images as an ONNX input of ``kind`` wants them, such as ``tensor(uint8)``."""
    if "uint8" in kind:
        return (255 * images).to(torch.uint8)
    return images.half() if "float16" in kind else images


def _program_runner(path: Path, case: Case, settings: Settings) -> Runner:
    from torch import export

    program: Any = export.load(path)
    wanted = program.example_inputs[0][0].dtype if program.example_inputs else torch.float32
    images = _images(case, settings)
    images = (255 * images).to(torch.uint8) if wanted == torch.uint8 else images.to(wanted)
    return _module_runner(cast(nn.Module, program.module()).to(settings.device), images)
