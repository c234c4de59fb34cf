"""The options of ``transkd-profile``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from transkd.cli.commands import config_folder
from transkd.errors import did_you_mean
from transkd.options import SMALLEST_SIDE, Count, Positive, Problem, Section, Side, option

Item = TypeVar("Item")


def listed(value: Any) -> list[Any]:
    """Return a list, one value as a list of it."""
    return value if isinstance(value, list) else [value]


def listed_sizes(value: object) -> object:
    """Return a list of sizes, one size as a list of it."""
    several = isinstance(value, list) and (not value or isinstance(value[0], list))
    return value if several else [value]


OneOrMore = Annotated[list[Item], BeforeValidator(listed), Field(min_length=1)]
Sizes = Annotated[
    list[Annotated[list[Side], Field(min_length=2, max_length=2)]], BeforeValidator(listed_sizes), Field(min_length=1)
]


class ProfileConfig(Section):
    r"""Show what networks cost: parameters, operations, memory, latency.

    Examples:
      transkd-profile models=[mit_b0,mit_b2,pvt_v2_b0,lvt] size=[512,1024]
      transkd-profile models=[runs/NAME/student,student.onnx] backend=[eager,onnx]
      transkd-profile models=[mit_b0] num_classes=20 latency=false \
        adapters=[transkd_base,transkd_gl,transkd_ea]

    Latencies are taken in turns: compare rows of one call. An ONNX file also
    upsamples logits to the images' size.

    More: docs/profile.md
    """

    models: OneOrMore[str] = option(
        ["mit_b0", "mit_b2"],
        "what to measure, side by side: BACKBONE or BACKBONE+HEAD (random weights); a run, a saved segmenter or a hub "
        "id; an exported .onnx or .pt2 file; transformers:segformer-b0 or a hub id there; torchvision:NAME; "
        "python:module:function",
        heading="What is measured",
    )
    size: Sizes = option(
        [512, 1024],
        "[height, width] in pixels, or a list of such",
        give=f"[height, width] in pixels ([512, 1024]), {SMALLEST_SIDE} or more each, or a list of such",
    )
    batch: OneOrMore[Positive] = option(
        1, "images a pass; one or a list", give="a number of images, 1 or more, or a list of such"
    )
    precision: OneOrMore[Literal["fp32", "bf16", "fp16"]] = option(
        "fp32",
        "fp32, bf16, fp16; one or a list; weights and images are cast",
        give="fp32, bf16 or fp16, or a list of them",
    )
    backend: OneOrMore[Literal["eager", "compiled", "onnx"]] = option(
        "eager",
        "eager, compiled, onnx; one or a list; an exported file runs on its own runtime",
        give="eager, compiled or onnx, or a list of them",
    )
    num_classes: Positive = option(19, "outputs (classes) of networks with random weights")
    device: Literal["auto", "cpu", "cuda"] = option(
        "auto", "auto (a GPU where there is one), cpu or cuda", heading="How"
    )
    threads: Positive | None = option(None, "CPU threads of torch and ONNX Runtime; null: as many as torch takes")
    runs: Positive = option(20, "timed passes of each row")
    warm_up: Count = option(3, "passes of each row before them that are not timed")
    latency: bool = option(True, "false: only parameters and multiply-accumulates, which take no time to count")
    memory: bool = option(True, "also measure peak memory, in a process for each row")
    adapters: Annotated[list[str], BeforeValidator(listed)] = option(
        [],
        "also count the models with the adapters of these methods or registered losses, such as "
        "[transkd_base, transkd_ea]",
        heading="Distillation",
    )
    adapter_teacher: str = option("mit_b2", "the teacher that the adapters are made for, a backbone")
    format: Literal["table", "json"] = option("table", "table for people, json for programs", heading="Output")
    output: str | None = option(None, "a file for the JSON")
    overwrite: bool = option(False, "replace that file where it exists")

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Heights and widths in pixels."""
        return [(height, width) for height, width in self.size]

    def problems(self) -> Iterator[Problem]:
        """Yield names that do not exist, a missing GPU, and a file that would be overwritten."""
        import torch

        from transkd.profiling import name_problem

        for name in dict.fromkeys(self.models):
            if problem := name_problem(name):
                yield Problem("models", f"'{name}': {problem}")
        known = method_names()
        for name in self.adapters:
            if name not in known:
                yield Problem("adapters", f"there is no method or loss '{name}'; {did_you_mean(name, known)}")
        if self.adapters and (problem := name_problem(self.adapter_teacher)):
            yield Problem("adapter_teacher", f"'{self.adapter_teacher}': {problem}")
        if self.device == "cuda" and not torch.cuda.is_available():
            yield Problem("device", "torch finds no GPU here: device=cpu, or auto")
        path = Path(self.output).expanduser() if self.output is not None else None
        if path is not None and path.is_dir():
            yield Problem("output", f"{path} is a folder; give a file")
        elif path is not None and path.exists() and not self.overwrite:
            yield Problem("output", f"{path} exists; overwrite=true replaces it")


def method_names() -> list[str]:
    """Return what ``adapters`` takes: the methods of ``conf/distillation`` and the registered losses."""
    from transkd.distillation import available_losses

    methods = {path.stem for path in (config_folder() / "distillation").glob("*.yaml")} - {"none", "base"}
    return sorted(methods | set(available_losses()))
