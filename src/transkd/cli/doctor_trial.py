"""Try out libraries and devices, in a process of its own that may crash: a line of JSON for each thing that is known.

``python -P -m transkd.cli.doctor_trial NAME …`` imports modules by their names; if torch is one, it computes.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

PRECISIONS = {"fp32": None, "bf16": "bfloat16", "fp16": "float16"}
RUNS = 5


def main(modules: list[str]) -> None:
    """Import each module; then say what torch computes on."""
    imported = [name for name in modules if _imported(name)]
    if "torch" in imported:
        _guarded({"step": "torch"}, _torch_facts)
        for device in _devices():
            _guarded({"step": "device", "device": device}, partial(_device_facts, device))
            for precision in PRECISIONS:
                _tell({"begin": f"computing on {device} in {precision}"})
                _guarded(
                    {"step": "precision", "device": device, "precision": precision},
                    partial(_time, device, precision),
                )


def _imported(name: str) -> bool:
    _tell({"begin": f"importing {name}"})
    return _guarded({"step": "import", "module": name}, partial(_import, name))


def _import(name: str) -> dict[str, Any]:
    importlib.import_module(name)
    return {}


def _guarded(about: dict[str, Any], action: Callable[[], dict[str, Any]]) -> bool:
    """Tell what an action finds, what it warns of, or why it fails."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            found: dict[str, Any] = action()
        except BaseException as error:  # a library may raise anything, SystemExit too
            found = {"error": f"{type(error).__name__}: {_first_line(error)}"}
    said = [_first_line(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    _tell({**about, **found, "warnings": list(dict.fromkeys(said))})
    return "error" not in found


def _torch_facts() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    return {
        "version": torch.__version__,
        "cuda_build": torch.version.cuda,
        "hip_build": torch.version.hip,
        "cudnn": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "gpus": torch.cuda.device_count() if cuda else 0,
        "threads": torch.get_num_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
    }


def _devices() -> Iterator[str]:
    import torch

    yield "cpu"
    if torch.cuda.is_available():
        yield from (f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        yield "mps"
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        yield from (f"xpu:{index}" for index in range(torch.xpu.device_count()))


def _device_facts(device: str) -> dict[str, Any]:
    import torch

    if not device.startswith("cuda"):
        return {}
    properties = torch.cuda.get_device_properties(device)
    free, total = torch.cuda.mem_get_info(device)
    return {
        "name": properties.name,
        "processors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
        "free": free,
        "total": total,
    }


def _time(device: str, precision: str) -> dict[str, Any]:
    """Return the median time of a forward and backward pass of a convolution and an attention, as training casts them.

    Raises:
        FloatingPointError: the result is not finite.
    """
    import torch

    dtype = PRECISIONS[precision]
    casting: AbstractContextManager[Any] = nullcontext()
    if dtype is not None:
        casting = torch.autocast(torch.device(device).type, getattr(torch, dtype))
    convolution = torch.nn.Conv2d(32, 64, 3, padding=1).to(device)
    images = torch.randn(2, 32, 24, 24, device=device)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        with casting:
            features = convolution(images).flatten(2).transpose(1, 2)
            loss = torch.nn.functional.scaled_dot_product_attention(features, features, features).float().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        if not torch.isfinite(loss).item():  # also waits for a GPU to be done
            raise FloatingPointError("the result is not finite")
        times.append(1000 * (time.perf_counter() - start))
    return {"ms": sorted(times)[RUNS // 2]}


def _first_line(said: object) -> str:
    return (str(said).strip().splitlines() or ["no message"])[0]


def _tell(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
