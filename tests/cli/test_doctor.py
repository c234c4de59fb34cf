"""``transkd-doctor``: what it reports, what it finds broken, and that it prints nothing private."""

from __future__ import annotations

import json
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
from command_runs import Command

from transkd.cli import doctor
from transkd.cli.doctor import VARIABLES, Report


@pytest.fixture
def examined(run: Command) -> Command:
    """Call ``transkd-doctor`` with versions and settings only."""
    return partial(run, "trials=false", name="transkd-doctor")


def test_versions_are_reported_and_nothing_private(
    examined: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_API_KEY", "secret" * 7)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    outcome = examined("format=json")
    report = json.loads(outcome.out)
    assert report["sections"]["Dependencies"]["torch"] == version("torch")
    assert report["sections"]["Settings"] == {"OMP_NUM_THREADS": "3", "W&B": "online, a key is set"}
    assert {"Python and transkd", "Machine"} < report["sections"].keys()
    for form in ("text", "markdown"):
        text = examined(f"format={form}").out
        assert version("torch") in text
        assert "secret" not in text
        assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("name", "found", "said"),
    [
        ("timm", None, "broken: timm is missing\n  pip install 'timm<1.1,>=1.0.31'"),
        ("timm", "0.9.2", "broken: timm is 0.9.2, transkd needs <1.1,>=1.0.31"),
        ("onnx", "1.0", "note: onnx is 1.0, transkd needs >=1.18"),
        ("onnx", None, "missing; for transkd-export format=onnx, and .onnx files: pip install 'transkd[onnx]'"),
    ],
)
def test_a_package_is_missing_or_too_old(
    examined: Command, monkeypatch: pytest.MonkeyPatch, name: str, found: str | None, said: str
) -> None:
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda asked: found if asked == name else real(asked))
    outcome = examined()
    assert said in outcome.out
    assert outcome.code == ("broken: " in outcome.out)
    assert outcome.code == (name == "timm")


@pytest.mark.slow
def test_the_trial_computes(run: Command) -> None:
    outcome = run("format=json", name="transkd-doctor")
    report = json.loads(outcome.out)
    assert report["sections"]["Libraries"]["transkd.models"] == "can be imported"
    assert report["sections"]["Devices"]["cpu, fp32"] == "works"
    assert not [trouble for trouble in report["troubles"] if trouble["broken"]]


ABORT = "import os; print('step', 'importing torch', sep='\\t', flush=True); os.abort()"
TRIALS = {
    ABORT: "importing torch fails: exit code -6",
    "import sys; sys.exit('no libgomp')": "starting Python fails: exit code 1, no libgomp",
    "import time; print('step', 'computing', sep='\\t', flush=True); time.sleep(60)": "it took longer than 3 s",
    "print('Libraries', 'torchvision', 'fails: no nms', sep='\\t')": "torchvision fails: no nms",
    "print('Devices', 'cpu, fp32', 'fails: inf', sep='\\t')": "cpu, fp32 fails: inf",
    "print('Devices', 'cuda:0', 'fails: driver', sep='\\t')": "cuda:0 fails: driver",
}


@pytest.mark.parametrize("code", TRIALS)
def test_a_trial_that_crashes_hangs_or_fails(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(doctor, "TIME_LIMIT", 3)
    report = Report()
    doctor._add_trial(report, [sys.executable, "-c", code])
    (trouble,) = report.troubles
    assert TRIALS[code] in trouble["what"]
    assert trouble["broken"] == ("cuda" not in code), "a GPU that fails is no broken transkd"
