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

import torch

from transkd.evaluation.cost import MEGA, peak_bytes, start_peak
from transkd.profiling.cases import OUT_OF_MEMORY, Case, Settings, reason
from transkd.profiling.networks import Network, open_network
from transkd.profiling.runners import make_runner


def peak_memory_mb(case: Case, settings: Settings) -> tuple[float | None, str | None]:
    """Measure a case in a fresh process.

    Returns:
        Peak memory in 10^6 bytes, or None and why.
    """
    task = json.dumps({"case": asdict(case), "settings": asdict(settings)})
    command = [sys.executable, "-m", "transkd.profiling.memory"]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        return None, f"{OUT_OF_MEMORY} (the system ended the process)"
    try:
        answer = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        lines = done.stderr.strip().splitlines()
        return None, f"its process ended with code {done.returncode}: {lines[-1] if lines else 'no message'}"
    return answer["peak_mb"], answer["problem"]


def measure(case: Case, settings: Settings) -> float | None:
    """Return the peak memory of a pass and the network's weights in 10^6 bytes, in this process.

    On a CPU it is the growth of the process's peak, so it holds all that a pass needs, whoever allocates it. A
    compiled network's is what its second pass adds to its weights, for the compiler itself takes far more than
    either. On a GPU it is what torch allocated there; None where torch does not allocate.
    """
    torch.set_num_threads(settings.threads)
    network = Network(case.model) if case.file else open_network(case.model, case.num_classes)
    if settings.device == "cuda":
        return cuda_peak(network, case, settings)
    load_libraries(case)
    held = sum(t.numel() * t.element_size() for t in network.module.state_dict().values()) if network.module else 0
    before = start_peak() - held
    runner = make_runner(network, case, settings)
    network = Network(case.model)  # the runner has its own copy
    if case.backend == "compiled":
        runner.run()
        release_memory()
        before = start_peak() - runner.weight_bytes
    release_memory()
    start_peak()
    runner.run()
    return (peak_bytes() - before) / MEGA


def cuda_peak(network: Network, case: Case, settings: Settings) -> float | None:
    """Return the peak of what torch allocates on a GPU in 10^6 bytes; None where ONNX Runtime allocates."""
    if case.backend == "onnx":
        return None
    runner = make_runner(network, case, settings)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    runner.run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / MEGA


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
    case = Case(**{**task["case"], "size": tuple(task["case"]["size"])})
    try:
        answer: dict[str, float | str | None] = {
            "peak_mb": measure(case, Settings(**task["settings"])),
            "problem": None,
        }
    except Exception as error:  # of any library
        answer = {"peak_mb": None, "problem": reason(error)}
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
