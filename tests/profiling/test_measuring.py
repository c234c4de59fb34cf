"""Peak memory, latency and failures: nothing is asserted of times but that they are times."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import nn

from transkd.errors import ConfigError
from transkd.profiling import Case, Network, Settings, all_cases, memory, name_problem, open_network, profile
from transkd.profiling.memory import peak_memory_mb
from transkd.profiling.networks import parameters_of

QUICK = Settings("cpu", threads=1, runs=3, warm_up=1, memory=False)
NETWORKS = """
import torch
from torch import nn

def tensor(): return nn.Conv2d(3, 4, 1)

class Out(nn.Module):
    def forward(self, images): return {"out": images[:, :2]}

def mapping(): return Out()

class Text(nn.Module):
    def forward(self, images): return "logits"

def text(): return Text()

class Hungry(nn.Module):
    def forward(self, images):
        if isinstance(images, torch._subclasses.FakeTensor):
            return images
        return torch.empty(2**50)

def hungry(): return Hungry()

def number(): return 3

class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(25_000_000))

    def forward(self, images): return images.repeat(1, 20_000, 1, 1).sum(1)

def wide(): return Wide()
"""


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``python:own_networks:…`` be importable, here and in processes that are started from here."""
    (tmp_path / "own_networks.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    sys.modules.pop("own_networks", None)


def _cases(*names: str, precisions: Sequence[str] = ("fp32",), backends: Sequence[str] = ("eager",)) -> list[Case]:
    return list(all_cases(names, [(32, 48)], [2], precisions, backends, 5))


def test_a_row_has_everything() -> None:
    steps: list[tuple[str, int, int]] = []
    (row,) = profile(_cases("mit_b0"), QUICK, progress=lambda *step: steps.append(step))
    assert row.problem is None
    assert row.parameters == 3_715_429
    assert row.macs is not None
    assert row.macs.with_attention > row.macs.without_attention > 0
    assert len(row.latencies_ms) == 3
    assert row.median_ms is not None
    assert row.p95_ms is not None
    assert 0 < row.median_ms <= row.p95_ms
    assert row.images_per_second == pytest.approx(2000 / row.median_ms)
    assert steps == [("counting", 1, 1), ("preparing", 1, 1), *(("latency", n, 4) for n in range(1, 5))]


def test_combinations_come_in_order_and_counts_alone_take_no_time() -> None:
    cases = list(all_cases(["mit_b0", "mit_b0+semantic_fpn"], [(32, 32), (96, 96)], [1], ["fp32"], ["eager"], 5))
    assert [(case.model, case.size[0]) for case in cases] == [
        ("mit_b0", 32),
        ("mit_b0", 96),
        ("mit_b0+semantic_fpn", 32),
        ("mit_b0+semantic_fpn", 96),
    ]
    rows = profile(cases, Settings("cpu", 1, 1, 0, latency=False, memory=False))
    assert [row.problem for row in rows] == [None] * 4
    assert all(row.median_ms is None and row.macs is not None for row in rows)
    small, large = (row.macs for row in rows[:2])
    assert small is not None
    assert large is not None
    assert large.as_published > 8 * small.as_published


def test_networks_of_other_libraries_stand_side_by_side(networks: None) -> None:
    names = ["transformers:segformer-b0", "torchvision:lraspp_mobilenet_v3_large", "python:own_networks:tensor"]
    names.append("python:own_networks:mapping")
    rows = profile(_cases("mit_b0", *names), QUICK)
    assert [row.problem for row in rows] == [None] * 5
    assert rows[0].parameters == rows[1].parameters
    assert (rows[3].parameters, rows[4].parameters) == (16, 0)
    assert rows[3].macs is not None
    assert rows[3].macs.with_attention == 32 * 48 * 3 * 4


def test_what_fails_says_why_and_the_others_are_measured(networks: None) -> None:
    names = ["python:own_networks:hungry", "python:own_networks:text", "python:own_networks:number", "mit_b0"]
    hungry, text, number, last = profile(_cases(*names), QUICK)
    assert hungry.problem == "not enough memory"
    assert text.problem is not None
    assert "it returns a str; a tensor is needed" in text.problem
    assert number.problem is not None
    assert "returns a int, not a torch.nn.Module" in number.problem
    assert hungry.latencies_ms == []
    assert last.problem is None
    assert len(last.latencies_ms) == 3


def test_bf16_weights_are_bf16(networks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.dtype] = []
    forward = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: seen.append(x.dtype) or forward(self, x))
    (row,) = profile(_cases("python:own_networks:tensor", precisions=("bf16",)), QUICK)
    assert row.problem is None
    assert seen[1:] == [torch.bfloat16] * 4  # the first one counts


def test_onnx_files_run_on_onnx_runtime(networks: None) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")

    def export(network: Network, precision: str, path: Path) -> None:
        assert precision == "fp32"
        assert network.module is not None
        torch.onnx.export(network.module, (torch.rand(2, 3, 32, 48),), path, dynamo=True, verbose=False)

    (row,) = profile(_cases("python:own_networks:tensor", backends=("onnx",)), QUICK, export=export)
    assert row.problem is None
    assert len(row.latencies_ms) == 3


def test_an_exported_file_is_one_row_with_its_own_precision(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    layer = nn.Conv2d(3, 4, 1).eval()
    onnx, program = tmp_path / "layer.onnx", tmp_path / "layer.pt2"
    torch.onnx.export(layer, (torch.rand(2, 3, 32, 48),), onnx, dynamo=True, verbose=False)
    torch.export.save(torch.export.export(layer, (torch.rand(2, 3, 32, 48),)), program)
    assert parameters_of(open_network(str(onnx), 5)) == parameters_of(open_network(str(program), 5)) == 16
    rows = profile(_cases(str(onnx), str(program), precisions=("fp32", "bf16")), QUICK)
    assert [(row.case.precision, row.case.backend) for row in rows] == [("file", "onnx"), ("file", "torch.export")]
    assert [(row.problem, len(row.latencies_ms), row.macs) for row in rows] == [(None, 3, None)] * 2


def test_the_first_pass_of_a_compiled_network_is_timed_apart(networks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module, **options: compile_(module, backend="eager", **options))
    (row,) = profile(_cases("python:own_networks:tensor", backends=("compiled",)), QUICK)
    assert row.problem is None
    assert row.first_pass_s is not None
    assert row.first_pass_s > 0
    assert len(row.latencies_ms) == 3


@pytest.mark.slow
def test_peak_memory_is_that_of_the_pass_and_the_weights(networks: None) -> None:
    peak, problem = peak_memory_mb(_cases("python:own_networks:wide")[0], QUICK)
    assert problem is None
    repeated, weights = 2 * 3 * 20_000 * 32 * 48 * 4, 25_000_000 * 4
    assert peak == pytest.approx((repeated + weights) / 1e6, rel=0.05)


def test_a_failure_in_the_process_of_its_own_is_reported(
    networks: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = {"case": asdict(_cases("python:own_networks:hungry")[0]), "settings": asdict(QUICK)}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(task)))
    memory.main()
    assert json.loads(capsys.readouterr().out) == {"peak_mb": None, "problem": "not enough memory"}


def test_a_process_that_the_system_ends_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.CompletedProcess([], -9, stdout="", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    peak, problem = peak_memory_mb(_cases("mit_b0")[0], QUICK)
    assert (peak, problem) == (None, "not enough memory (the system ended the process)")


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
    assert NAMES[name] in str(name_problem(name))


@pytest.mark.parametrize(
    "name",
    ["mit_b0", "lvt", "mit_b0+semantic_fpn", "owner/repository", "transformers:owner/name", "torchvision:fcn_resnet50"],
)
def test_names_that_can_be(name: str) -> None:
    assert name_problem(name) is None


def test_a_folder_does_not_shadow_a_backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mit_b0").mkdir()
    assert open_network("mit_b0", 5).segmenter is not None
    with pytest.raises(ConfigError, match="there is no backbone"):
        open_network("mit_b9", 5)
