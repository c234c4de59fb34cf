"""``transkd-profile``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from command_runs import Command, Outcome
from rich.console import Console

from transkd.cli import profile as profile_command
from transkd.cli.profile import COSTS, print_costs

SMALL = ["size=[32,64]", "runs=2", "warm_up=0", "memory=false", "device=cpu"]
WRONG = ["runs=0", "warm_up=-1", "format=xml", "sizes=3"]
COUNTS = ["latency=false", "num_classes=20"]


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


@pytest.mark.slow
def test_the_papers_table_as_json(profile: Command) -> None:
    sizes = "size=[[512,1024],[32,64]]"
    outcome = profile("models=mit_b0", "adapters=[transkd_ea]", sizes, "batch=[1,2]", *COUNTS, "format=json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    rows = [(row["size"], row["batch"], row["parameters"], row["latency_ms"]) for row in found["rows"]]
    assert rows == [(size, batch, 3_719_284, None) for size in ([512, 1024], [32, 64]) for batch in (1, 2)]
    row = found["adapters"][0]
    counted = row["parameters_with_adapters"], round(row["gmacs_with_adapters"]["as_published"], 2)
    assert counted == (5_534_076, 17.84)


@pytest.mark.parametrize(("width", "counts"), [(60, 1), (160, 3)])
def test_names_stay_in_a_narrow_terminal(
    width: int, counts: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profile_command, "output", lambda: Console(width=width))
    gmacs = dict.fromkeys(("with_attention", "without_attention", "as_published"), 123.4)
    timed = {"latency_ms": {"median": 123.4, "p95": 123.4}, "peak_memory_mb": None, "images_per_second": None}
    row = {"parameters": 123_400_000, "gmacs": gmacs, "first_pass_s": None, **timed}
    print_costs("title", {"model": ["runs/NAME/student"]}, [row], COSTS)
    text = " ".join(capsys.readouterr().out.split())
    assert "runs/NAME/student" in text
    assert text.count("123.4") == 3 + counts
    assert ("a wider terminal" in text) == (counts == 1)


@pytest.mark.slow
def test_the_table_of_adapters(profile: Command) -> None:
    table = profile("models=[mit_b0]", "adapters=[csf,ea]", "size=[64,64]", "adapter_teacher=mit_b1", *COUNTS).out
    rows = [line.split() for line in table.splitlines() if "mit_b0 +" in line]
    assert [row[:6] for row in rows] == [
        ["mit_b0", "+", "csf", "64x64", "0.65", "4.37"],
        ["mit_b0", "+", "ea", "64x64", "1.16", "4.88"],
    ]


def test_rows_that_fail_state_why_and_the_others_are_measured(profile: Command, tmp_path: Path) -> None:
    (tmp_path / "broken_network.py").write_text(
        "import torch\nclass Broken(torch.nn.Module):\n"
        "    def forward(self, images): raise RuntimeError('the pipes are frozen')\n"
    )
    name = "python:broken_network:Broken"
    outcome = profile(f"models=['{name}',mit_b0]", "adapters=csf", f"adapter_teacher='{name}'", *SMALL)
    message = outcome.refused("transkd-profile", code=1)
    assert message == "transkd-profile: 2 of 3 rows could not be measured; each says why\n"
    assert f"{name} (32x64, batch 1, fp32, eager): RuntimeError: the pipes are frozen" in outcome.out
    assert f"mit_b0 + csf: adapter_teacher={name} is no segmenter of transkd: it has no taps" in outcome.out
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
    outcome = profile(
        *["batch=0", "precision=fp8", "backend=tensorrt", "device=tpu", "runs=0", "warm_up=-1", "format=xml", "sizes=3"]
    )
    outcome.refused("transkd-profile")
    assert sorted(outcome.lines) == [
        "backend: give eager, compiled or onnx, or a list of them (it is 'tensorrt')",
        "batch: give a number of images, 1 or more, or a list of such (it is 0)",
        "device: there is no such choice; did you mean 'cpu'? (it is 'tpu')",
        "format: there is no such choice; known: json, table (it is 'xml')",
        "precision: give fp32, bf16 or fp16, or a list of them (it is 'fp8')",
        "runs: give 1 or more (it is 0)",
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


@pytest.mark.parametrize("size", ["[512]", "[[64,64],[64,16]]", "512", "[]", "null"])
def test_sizes_that_are_none(profile: Command, size: str) -> None:
    (line,) = profile("models=[mit_b0]", f"size={size}").lines
    assert line.startswith("size: give [height, width] in pixels ([512, 1024]), 32 or more each, or a list of such")
