"""``transkd-profile``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from command_runs import Command, Outcome
from rich.console import Console

from transkd.cli import profile as profile_command
from transkd.cli.profile import GMACS, _print_fitting

SMALL = ["size=[32,64]", "runs=2", "warm_up=0", "memory=false", "device=cpu"]
COUNTS = ["size=[512,1024]", "latency=false", "num_classes=20"]


@pytest.fixture
def profile(run: Command) -> Command:
    """Call ``transkd-profile``."""
    return partial(run, name="transkd-profile")


def test_a_table_for_people_and_a_file_for_programs(profile: Command, tmp_path: Path) -> None:
    outcome: Outcome = profile("models=[mit_b0,mit_b0+semantic_fpn]", *SMALL, "output=costs/b0.json")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    lines = [line.split() for line in outcome.out.splitlines()]
    table = {line[0]: line[1:] for line in lines if line and line[0].startswith("mit_b0")}
    assert [cells[0] for cells in table.values()] == ["3.72", "7.44"]
    found = json.loads((tmp_path / "costs/b0.json").read_text())
    assert [row["model"] for row in found["rows"]] == ["mit_b0", "mit_b0+semantic_fpn"]
    for row, cells in zip(found["rows"], table.values(), strict=True):
        assert row["problem"] is None
        assert 0 < row["latency_ms"]["median"] <= row["latency_ms"]["p95"]
        assert cells[4] == f"{row['latency_ms']['median']:.1f}"
    assert (found["runs"], found["warm_up"], found["threads"]) == (2, 0, 1)


def test_json_alone_on_standard_output(profile: Command) -> None:
    outcome = profile("models=mit_b0", "latency=false", "batch=[1,2]", "size=[[32,32],[32,64]]", "format=json")
    assert outcome.code == 0, outcome.err
    rows = json.loads(outcome.out)["rows"]
    assert [(row["size"], row["batch"]) for row in rows] == [([32, 32], 1), ([32, 32], 2), ([32, 64], 1), ([32, 64], 2)]


def test_the_papers_table(profile: Command) -> None:
    outcome = profile("models=[mit_b0]", "adapters=[transkd_ea]", *COUNTS, "format=json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["rows"][0]["parameters"] == 3_719_284
    assert found["rows"][0]["latency_ms"] is None
    assert [
        (row["parameters_with_adapters"], round(row["gmacs_with_adapters"]["as_published"], 2))
        for row in found["adapters"]
    ] == [(5_534_076, 17.84)]


@pytest.mark.parametrize(("width", "counts"), [(60, 1), (160, 3)])
def test_names_stay_in_a_narrow_terminal(
    width: int, counts: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = ["median\nms", "p95\nms", "parameters\nM", *GMACS]
    monkeypatch.setattr(profile_command, "output", lambda: Console(width=width))
    _print_fitting("title", {"model": ["runs/NAME/student"], **{head: ["123.4"] for head in heads}})
    text = " ".join(capsys.readouterr().out.split())
    assert "runs/NAME/student" in text
    assert text.count("123.4") == 3 + counts
    assert ("a wider terminal" in text) == (counts == 1)


def test_the_table_of_adapters(profile: Command) -> None:
    arguments = ["size=[64,64]", "latency=false", "num_classes=20", "adapter_teacher=mit_b1"]
    table = profile("models=[mit_b0]", "adapters=[csf,ea]", *arguments).out
    rows = [line.split() for line in table.splitlines() if "mit_b0 +" in line]
    assert [row[:6] for row in rows] == [
        ["mit_b0", "+", "csf", "64x64", "0.65", "4.37"],
        ["mit_b0", "+", "ea", "64x64", "1.16", "4.88"],
    ]


def test_a_row_that_fails_says_why_and_the_others_are_measured(profile: Command, tmp_path: Path) -> None:
    (tmp_path / "broken_network.py").write_text(
        "import torch\nclass Broken(torch.nn.Module):\n"
        "    def forward(self, images): raise RuntimeError('the pipes are frozen')\n"
    )
    outcome = profile("models=['python:broken_network:Broken',mit_b0]", *SMALL)
    assert outcome.refused("transkd-profile", code=1) == (
        "transkd-profile: 1 of 2 rows could not be measured; each says why\n"
    )
    said = "python:broken_network:Broken (32x64, batch 1, fp32, eager): RuntimeError: the pipes are frozen"
    assert said in outcome.out
    assert any(line.split()[:2] == ["mit_b0", "3.72"] for line in outcome.out.splitlines())


@pytest.mark.slow
def test_a_segmenter_is_exported_and_runs_on_onnx_runtime(profile: Command) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    outcome = profile("models=[mit_b0]", *SMALL, "backend=onnx", "format=json")
    (row,) = json.loads(outcome.out)["rows"]
    assert (outcome.code, row["problem"], row["backend"]) == (0, None, "onnx")
    assert row["latency_ms"]["median"] > 0
    assert row["parameters"] == 3_719_027


def test_every_mistake_is_reported_at_once(profile: Command, tmp_path: Path) -> None:
    values = "size=[512] batch=0 precision=fp8 backend=tensorrt device=tpu runs=0 warm_up=-1 format=xml sizes=3"
    outcome = profile(*values.split())
    outcome.refused("transkd-profile")
    assert sorted(outcome.lines) == [
        "backend: give eager, compiled or onnx, or a list of them (it is 'tensorrt')",
        "batch: give a number of images, 1 or more, or a list of such (it is 0)",
        "device: there is no such choice; did you mean 'cpu'? (it is 'tpu')",
        "format: there is no such choice; known: json, table (it is 'xml')",
        "precision: give fp32, bf16 or fp16, or a list of them (it is 'fp8')",
        "runs: give 1 or more (it is 0)",
        "size: give [height, width] in pixels ([512, 1024]), 32 or more each, or a list of such (it is [512])",
        "sizes: there is no such key; did you mean 'size'?",
        "warm_up: give 0 or more (it is -1)",
    ]
    assert "/proc/costs.json cannot be written" in profile("output=/proc/costs.json").refused("transkd-profile")
    (tmp_path / "costs.json").write_text("mine")
    networks = "models=[mit_b9,'torchvision:nothing','./no/such/folder']"
    *models, adapters, output = profile(networks, "adapters=[transkd_bass]", "output=costs.json").lines
    assert [line.partition(":")[0] for line in models] == ["models"] * 3
    assert "did you mean 'mit_b" in models[0]
    assert adapters == "adapters: there is no method or loss 'transkd_bass'; did you mean 'transkd_base'?"
    assert output == "output: costs.json exists; overwrite=true replaces it"
    assert (tmp_path / "costs.json").read_text() == "mine"


@pytest.mark.parametrize("size", ["[[64,64],[64,16]]", "512", "[]", "null"])
def test_sizes_that_are_none(profile: Command, size: str) -> None:
    (line,) = profile("models=[mit_b0]", f"size={size}").lines
    assert line.startswith("size: give [height, width] in pixels ([512, 1024]), 32 or more each, or a list of such")


def test_adapters_of_networks_without_a_teacher_that_has_taps(profile: Command) -> None:
    arguments = ["models=[mit_b0,'torchvision:fcn_resnet50']", "size=[64,64]", "latency=false", "adapters=csf"]
    outcome = profile(*arguments, "adapter_teacher='torchvision:fcn_resnet50'", "format=json")
    assert outcome.code == 1
    (row,) = json.loads(outcome.out)["adapters"]
    assert row["problem"] == "adapter_teacher=torchvision:fcn_resnet50 has no taps: it is no segmenter of transkd"
    assert row["parameters_with_adapters"] is None
