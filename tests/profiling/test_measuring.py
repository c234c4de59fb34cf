"""Peak memory, latency and failures: nothing is asserted of times but that they are times."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from transkd.errors import ConfigError
from transkd.models import Segmenter
from transkd.profiling import Case, Settings, find_network, memory, open_network, profile
from transkd.profiling.memory import peak_memory_mb

QUICK = Settings("cpu", threads=1, runs=3, warm_up=1, num_classes=5, memory=False)
NETWORKS = """
import torch
from torch import nn

def tensor(): return nn.Conv2d(3, 4, 1)

class Out(nn.Module):
    def forward(self, images): return {"out": images[:, :2]}

class Text(nn.Module):
    def forward(self, images): return "logits"

class Hungry(nn.Module):
    def forward(self, images):
        return images if isinstance(images, torch._subclasses.FakeTensor) else torch.empty(2**50)

def number(): return 3

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(25_000_000))

    def forward(self, images): return images.repeat(1, 20_000, 1, 1).sum(1)
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``python:own_networks:…`` be importable, here and in processes that are started from here."""
    (tmp_path / "own_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sys.modules.pop("own_networks", None)


def _cases(*names: str, precisions: Sequence[str] = ("fp32",), backend: str = "eager") -> list[Case]:
    return [Case(name, (32, 48), 2, precision, backend) for name in names for precision in precisions]


def test_a_row_has_everything() -> None:
    steps: list[tuple[str, int, int]] = []
    (row,) = profile(_cases("mit_b0"), QUICK, progress=lambda *step: steps.append(step))
    assert (row.problem, row.parameters) == (None, 3_715_429)
    assert row.gmacs is not None
    assert row.gmacs["with_attention"] > row.gmacs["without_attention"] > 0
    assert row.latency_ms is not None
    assert len(row.latency_ms["runs"]) == 3
    assert 0 < row.latency_ms["median"] == sorted(row.latency_ms["runs"])[1] <= row.latency_ms["p95"]
    assert row.images_per_second == pytest.approx(2000 / row.latency_ms["median"])
    assert steps == [("counting", 1, 1), ("preparing", 1, 1), *(("latency", n, 4) for n in range(1, 5))]


def test_counts_alone_take_no_time() -> None:
    cases = [replace(_cases("mit_b0")[0], size=size) for size in ((32, 32), (96, 96))]
    rows = profile(cases, replace(QUICK, latency=False, memory=True))
    assert [(row.case, row.problem, row.latency_ms, row.peak_memory_mb) for row in rows] == [
        (case, None, None, None) for case in cases
    ]
    small, large = (row.gmacs or {} for row in rows)
    assert large["as_published"] > 8 * small["as_published"]


def test_networks_of_other_libraries_stand_side_by_side(networks: None) -> None:
    own = ("python:own_networks:tensor", "python:own_networks:Out")
    rows = profile(_cases("mit_b0", "transformers:segformer-b0", "torchvision:lraspp_mobilenet_v3_large", *own), QUICK)
    assert [row.problem for row in rows] == [None] * 5
    assert rows[0].parameters == rows[1].parameters
    assert (rows[3].parameters, rows[4].parameters) == (16, 0)
    assert rows[3].gmacs is not None
    assert rows[3].gmacs["with_attention"] == 32 * 48 * 3 * 4 / 1e9


def test_what_fails_says_why_and_the_others_are_measured(networks: None) -> None:
    names = ["python:own_networks:Hungry", "python:own_networks:Text", "python:own_networks:number", "mit_b0"]
    *failed, last = profile(_cases(*names), QUICK)
    expected = ["not enough memory", "it returns a str; a tensor is needed", "returns a int, not a torch.nn.Module"]
    for row, words in zip(failed, expected, strict=True):
        assert words in str(row.problem)
        assert row.latency_ms is None
    assert last.problem is None
    assert last.latency_ms is not None


def test_bf16_weights_are_bf16(networks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    forward = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: seen.append(x.dtype) or forward(self, x))
    (row,) = profile(_cases("python:own_networks:tensor", precisions=("bf16",)), QUICK)
    assert row.problem is None
    assert seen[1:] == [torch.bfloat16] * 4  # the first one counts


def test_an_exported_file_is_one_row_with_its_own_precision(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    layer = nn.Conv2d(3, 4, 1).eval()
    onnx, program, images = tmp_path / "layer.onnx", tmp_path / "layer.pt2", (torch.rand(2, 3, 32, 48),)
    torch.onnx.export(layer, images, onnx, dynamo=True, verbose=False)
    torch.export.save(torch.export.export(layer, images), program)
    rows = profile(_cases(str(onnx), str(program), precisions=("fp32", "bf16")), QUICK)
    assert [(row.case.precision, row.case.backend) for row in rows] == [("file", "onnx"), ("file", "torch.export")]
    for row in rows:
        assert (row.problem, row.parameters, row.gmacs) == (None, 16, None)
        assert row.latency_ms is not None


def test_the_first_pass_of_a_compiled_network_is_timed_apart(networks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **options: compile_(module, backend="eager", **options))
    (row,) = profile(_cases("python:own_networks:tensor", backend="compiled"), QUICK)
    assert row.problem is None
    assert row.first_pass_s is not None
    assert row.latency_ms is not None
    assert row.first_pass_s > 0


@pytest.mark.slow
def test_peak_memory_is_that_of_the_pass_and_the_weights(networks: None) -> None:
    name = "python:own_networks:Wide"
    peak, problem = peak_memory_mb(_cases(name)[0], QUICK, name)
    assert problem is None
    repeated, weights = 2 * 3 * 20_000 * 32 * 48 * 4, 25_000_000 * 4
    assert peak == pytest.approx((repeated + weights) / 1e6, rel=0.05)


def test_a_failure_in_the_process_of_its_own_is_reported(
    networks: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "python:own_networks:Hungry"
    task = {"case": asdict(_cases(name)[0]), "settings": asdict(QUICK), "name": name}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(task)))
    memory.main()
    assert json.loads(capsys.readouterr().out) == [None, "not enough memory"]


@pytest.mark.parametrize(
    ("code", "problem"),
    [(-9, "not enough memory (the system ended the process)"), (3, "its process ended with code 3: the last line")],
)
def test_a_process_that_ends_is_reported(code: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess([], code, stdout="", stderr="a line\nthe last line\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    assert peak_memory_mb(_cases("mit_b0")[0], QUICK, "mit_b0") == (None, problem)


NAMES = {
    "mit_b9": "did you mean 'mit_b",
    "mit_b0+segformr": "did you mean 'segformer'?",
    "resnot50+segformer": "there is no backbone 'resnot50'",
    "./runs/nothing/student": "there is no such file or folder",
    "student.onnx": "there is no such file or folder",
    "transformers:segformer-b7": "did you mean 'segformer-b",
    "torchvision:lraspp_mobilenet": "did you mean 'lraspp_mobilenet_v3_large'?",
    "python:nothing": "is not of the form package.module:function",
    "python:nowhere_at_all:make": "nowhere_at_all cannot be imported (ModuleNotFoundError: No module named",
    "python:os.path:make": "os.path has no function 'make'",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        find_network(name, 5)
    assert NAMES[name] in str(error.value)


def test_names_that_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lvt", "mit_b0+semantic_fpn", "owner/name", "transformers:owner/name", "torchvision:fcn_resnet50"):
        find_network(name, 5)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mit_b0").mkdir()  # does not shadow the backbone
    assert isinstance(open_network("mit_b0", 5), Segmenter)
