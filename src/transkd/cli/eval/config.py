"""The options of ``transkd-eval``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from transkd.cli.arguments import given_keys
from transkd.cli.commands import config_folder
from transkd.cli.inference import InferenceConfig
from transkd.errors import did_you_mean
from transkd.options import REQUIRED, Count, Positive, Problem, Section, Size, group, option
from transkd.training.config import DataConfig

if TYPE_CHECKING:
    from transkd.data.datasets.layout import Benchmark

INSTEAD = {"data.label_size": "protocol.label_size", "data.batch_size": "batch_size", "data.train_split": "split"}
"""Keys of the data that are for training -> the keys that say the same here."""


class ProtocolConfig(Section):
    """Where predictions meet labels."""

    name: str = option(REQUIRED, "what the protocol is called")
    size: Size | None = option(REQUIRED, "what images are resized to; null: data.size", give="a size, or null")
    resolution: Literal["label", "logit"] = option(REQUIRED, "label: at the labels' size; logit: at the logits'")
    label_size: Literal["image", "own"] = option(REQUIRED, "image: labels are resized with images; own: they are not")

    @property
    def title(self) -> str:
        """The protocol's name, and what differs from the protocol of that name in ``conf/protocol``."""
        file = config_folder() / "protocol" / f"{self.name}.yaml"
        preset: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
        changed = [f"{k} {size_text(getattr(self, k))}" for k, v in preset.items() if v not in (None, getattr(self, k))]
        return ", ".join([self.name, *changed])


class EvalConfig(InferenceConfig):
    r"""Score a segmenter or an exported file by a stated protocol.

    Examples:
      transkd-eval model=runs/NAME/student data=camvid data.root=data/camvid
      transkd-eval model=student.onnx data=camvid data.root=data/camvid \
        inference=slide flip=true scales=[0.75,1,1.25]
      transkd-eval model=runs/NAME/student data=cityscapes \
        data.root=data/cityscapes split=test format=cityscapes

    Scores of different protocols do not compare: every result states its own. A
    protocol that is changed (protocol.size=…, protocol.resolution=label|logit,
    protocol.label_size=own|image) says so in its name.

    More: docs/evaluation.md
    """

    data: DataConfig = group(REQUIRED, "the dataset; its folder is data.root=PATH", heading="Input")
    split: str | None = option(None, "the split to score; null: the dataset's validation split")
    protocol: ProtocolConfig = group(
        "full", "full: labels at their own size; paper: a quarter of a 512-pixel input", heading="Protocol"
    )
    boundary: bool = option(True, "also score the pixels near outlines (boundary IoU)", heading="Scores")
    resamples: Count = option(1000, "bootstrap resamples of the images, for the 95 % interval of the mIoU; 0: none")
    pictures: Count = option(4, "how many of the best and how many of the worst images become pictures")
    batch_size: Positive | None = option(None, "images at once; null: the dataset's val_batch_size", heading="Compute")
    workers: Count | None = option(None, "processes that read images; null: the dataset's workers")
    format: str | None = option(
        None,
        "the test server to write files of label ids for, cityscapes or acdc; split=test then needs no labels",
        heading="Output",
    )
    zip: bool = option(False, "also pack those files into submission.zip, which the server takes")
    output: str | None = option(
        None,
        "the folder of scores and pictures; null: evaluations/MODEL-DATA-SPLIT-PROTOCOL-SIZE and what else was chosen",
    )

    @property
    def scored_split(self) -> str:
        """The split to score."""
        return self.data.val_split if self.split is None else self.split

    @property
    def input_size(self) -> int | tuple[int, int] | Literal["native"]:
        """What images are resized to: the protocol's own size, or the data's."""
        return self.protocol.size or self.data.size

    @cached_property
    def benchmark(self) -> Benchmark | None:
        """The test server to write files for."""
        return None if self.format is None else benchmarks()[self.format]

    @property
    def labelled(self) -> bool:
        """Whether the split must have labels: all but the one that the test server scores."""
        return self.benchmark is None or self.scored_split != self.benchmark.split

    def folder_name(self) -> str:
        """Return a folder's name that tells evaluations apart: model, data, protocol, and what else was chosen."""
        path = Path(self.model).expanduser()
        path = path.resolve() if path.exists() else path
        parts = [
            *(part for part in path.parts[-2:] if part != path.anchor),
            self.data.name,
            self.scored_split,
            re.sub(r"[^\w.]+", "_", self.protocol.title),
            size_text(self.input_size),
            "slide" if self.inference == "slide" else "",
            f"crop{size_text(self.crop)}" if self.crop else "",
            f"stride{size_text(self.stride)}" if self.stride else "",
            "flip" if self.flip else "",
            f"scales{'_'.join(f'{scale:g}' for scale in self.scales)}" if self.scales != [1.0] else "",
        ]
        return "-".join(filter(None, parts))

    def problems(self) -> Iterator[Problem]:
        """Yield windows, formats and keys that do not fit the data."""
        yield from self.window_problems(self.input_size)
        known = benchmarks()
        if self.format is None and self.zip:
            yield Problem("zip", f"packs the files for a test server: add format={' or '.join(known)}")
        elif self.format is not None and self.format not in known:
            yield Problem("format", f"there is no such choice; {did_you_mean(self.format, known)}")
        elif self.format not in (None, self.data.name):
            yield Problem("format", f"{self.format} is for data={self.format}, not for {self.data.name}: leave it out")
        instead = INSTEAD if self.protocol.size is None else INSTEAD | {"data.size": "protocol.size"}
        given = given_keys(sys.argv[1:])
        for key in (key for key in instead if key in given):
            yield Problem(key, f"has no effect here; use {instead[key]}={given[key]}")


def benchmarks() -> dict[str, Benchmark]:
    """Return the test servers that files can be written for, by the dataset's name."""
    from transkd.data.datasets import available_datasets, get_layout

    found = {name: get_layout(name).benchmark for name in available_datasets()}
    return {name: benchmark for name, benchmark in found.items() if benchmark is not None}


def size_text(size: object) -> str:
    """Return a size as names have it: ``360x480``."""
    return "x".join(map(str, size)) if isinstance(size, list | tuple) else str(size)
