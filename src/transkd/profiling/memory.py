"""Peak memory of one case, in a separate process, so that no peak hides another."""

from __future__ import annotations

import ctypes
import gc
import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch

from transkd.evaluation.cost import MEGA, peak_bytes, start_peak
from transkd.profiling.networks import Network, open_network
from transkd.profiling.runners import OUT_OF_MEMORY, PRECISIONS, Case, Settings, make_run, reason


def peak_memory_mb(case: Case, settings: Settings, name: str) -> tuple[float | None, str | None]:
    """Measure a case in a fresh process.

    Args:
        case: what is measured.
        settings: how it is measured.
        name: of the network, for :func:`open_network`: the case's model, or the file that it was exported to.

    Returns:
        Peak memory in 10^6 bytes, or None and why.
    """
    task = json.dumps({"case": asdict(case), "settings": asdict(settings), "name": name})
    command = [sys.executable, "-m", "transkd.profiling.memory"]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        return None, f"{OUT_OF_MEMORY} (the system ended the process)"
    if done.returncode:
        return None, f"its process ended with code {done.returncode}: {done.stderr.strip().rpartition(chr(10))[2]}"
    peak_mb, problem = json.loads(done.stdout.splitlines()[-1])
    return peak_mb, problem


def measure(case: Case, settings: Settings, name: str) -> float | None:
    """Return the peak memory of a pass and the network's weights in 10^6 bytes, in this process.

    On a CPU it is the growth of the process's peak, so it holds all that a pass needs, whoever allocates it. A
    compiled network's is what its second pass adds to its weights, for the compiler itself takes far more than
    either. On a GPU it is what torch allocated there; None where torch does not allocate.
    """
    torch.set_num_threads(settings.threads)
    network: Network = open_network(name, settings.num_classes)
    if settings.device == "cuda":
        if case.backend == "onnx":
            return None
        run = make_run(network, case, settings)
        if case.backend == "compiled":
            run()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        run()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / MEGA
    load_libraries(case)
    before = start_peak() - weight_bytes(network)
    run = make_run(network, case, settings)
    weights = weight_bytes(network, PRECISIONS.get(case.precision))
    del network  # the run has its own copy
    if case.backend == "compiled":
        run()
        release_memory()
        before = start_peak() - weights
    release_memory()
    start_peak()
    run()
    return (peak_bytes() - before) / MEGA


def weight_bytes(network: Network, dtype: torch.dtype | None = None) -> int:
    """Return the bytes of a module's weights, as they are or in a precision; 0 for a file, which is not loaded yet."""
    if isinstance(network, Path):
        return 0
    tensors = (*network.parameters(), *network.buffers())
    return sum(t.numel() * (dtype if dtype and t.is_floating_point() else t.dtype).itemsize for t in tensors)


def load_libraries(case: Case) -> None:
    """Load everything that a first pass would load."""
    with torch.inference_mode():
        torch.nn.Conv2d(3, 8, 3)(torch.rand(1, 3, 32, 32)) @ torch.rand(30, 8)
    if case.backend == "onnx":
        with suppress(ModuleNotFoundError):
            __import__("onnxruntime")


def release_memory() -> None:
    """Return free memory to the system, where its C library can."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def main() -> None:
    """Measure the case on standard input, and answer in the last line of standard output."""
    task = json.loads(sys.stdin.read())
    answer: tuple[float | None, str | None]
    try:
        answer = measure(Case(**task["case"]), Settings(**task["settings"]), task["name"]), None
    except Exception as error:  # of any library
        answer = None, reason(error)
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
