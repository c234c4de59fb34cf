"""transkd-doctor: what it finds in machines that are made up here, and that it stands what it looks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from command_runs import Command
from packaging.requirements import Requirement

from transkd.cli import doctor_packages, doctor_run, doctor_torch, doctor_trial
from transkd.cli.doctor_machine import cpu_quota, machine_section, memory_limit
from transkd.cli.doctor_packages import EXTRAS, packages_section, python_section
from transkd.cli.doctor_report import Report, Section
from transkd.cli.doctor_settings import settings_section
from transkd.cli.doctor_text import anonymous, as_json, as_markdown, as_text
from transkd.cli.doctor_torch import (
    MODULES,
    OF_EXTRAS,
    Trial,
    devices_section,
    libraries_section,
    modules_to_try,
    try_out,
)

PYPROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
NAME = "transkd-doctor"
GB = 10**9


def machine(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in {"proc/meminfo": "MemTotal: 62500000 kB\nMemAvailable: 31250000 kB\n", **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


CONTAINERS = {
    "version 2": {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/memory.max": "8000000000\n",
        "sys/fs/cgroup/memory.current": "5000000000\n",
        "sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 3000000000\n",
    },
    "version 2, the limit above": {
        "proc/self/cgroup": "0::/job/step\n",
        "sys/fs/cgroup/job/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/job/memory.max": "8000000000\n",
        "sys/fs/cgroup/job/memory.current": "2000000000\n",
        "sys/fs/cgroup/job/step/cpu.max": "max 100000\n",
        "sys/fs/cgroup/job/step/memory.max": "max\n",
    },
    "version 1, seen from inside": {
        "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "8000000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "2000000000\n",
    },
}


@pytest.mark.parametrize("files", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_limits_of_containers(tmp_path: Path, files: Mapping[str, str]) -> None:
    root = machine(tmp_path, files)
    assert cpu_quota(root) == 1.5
    assert memory_limit(root) == (8 * GB, 2 * GB)


def test_no_limits(tmp_path: Path) -> None:
    unlimited = {
        "proc/self/cgroup": "3:memory:/\n0::/\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    root = machine(tmp_path, unlimited)
    assert cpu_quota(root) is None
    assert memory_limit(root) is None
    assert cpu_quota(tmp_path / "nothing") is None
    assert memory_limit(tmp_path / "nothing") is None


def test_a_small_container_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(32)), raising=False)
    monkeypatch.setattr("shutil.disk_usage", lambda path: _usage(total=67_108_864, used=0, free=67_108_864))
    root = machine(tmp_path, CONTAINERS["version 2"])
    (root / "dev/shm").mkdir(parents=True)
    section = machine_section(root)
    facts = dict(section.facts)
    assert facts["cores"] == "64, 32 of them for this process, 1.5 cores' time by the container's limit"
    assert facts["memory"] == "32.0 GB free of 64.0 GB"
    assert facts["memory of the container"] == "6.0 GB free of 8.0 GB"
    remedies = [trouble.remedy for trouble in section.troubles]
    assert "export OMP_NUM_THREADS=2, and choose data.workers to match" in remedies
    assert "in a container docker run --shm-size=8g or --ipc=host; or data.workers=0" in remedies
    assert Report((section,)).code == 0
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "OMP_NUM_THREADS" not in str(machine_section(root).troubles)


def _usage(**values: int) -> object:
    return type("Usage", (), values)()


def test_this_machine_is_described() -> None:
    facts = dict(machine_section().facts)
    assert facts["cores"].startswith(str(os.cpu_count()))
    assert "GB free" in facts["disk, working folder"]


SECRETS = {
    "WANDB_API_KEY": "0123456789abcdef-secret",
    "HF_TOKEN": "hf_secret",
    "HTTPS_PROXY": "http://jane:secret@proxy",
    "PYTHONPATH": "secret/lib",
}


def test_secrets_are_never_told(tmp_path: Path) -> None:
    section = settings_section({**SECRETS, "OMP_NUM_THREADS": "4"}, tmp_path)
    facts = dict(section.facts)
    assert {facts[name] for name in SECRETS} == {"set"}
    assert facts["OMP_NUM_THREADS"] == "4"
    assert facts["W&B"] == "a key is there; logger=wandb logs online"
    assert facts["Hugging Face"].startswith("a token is there; online")
    report = Report((section,))
    for text in (as_text(report, colours=True), as_markdown(report), as_json(report)):
        assert "secret" not in text


def test_what_wandb_would_do(tmp_path: Path) -> None:
    def said(**environment: str) -> str:
        return dict(settings_section(environment, tmp_path).facts)["W&B"]

    assert said() == "no key: wandb login, or WANDB_API_KEY; logger=wandb logs offline, to be uploaded by wandb sync"
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine api.wandb.ai\n  login user\n  password verysecret\n")
    assert said() == "a key is there; logger=wandb logs online"
    assert said(WANDB_BASE_URL="https://wandb.example.org").startswith("no key")
    assert said(NETRC=str(tmp_path / "other")).startswith("no key")
    assert said(WANDB_MODE="offline") == "a key is there; logger=wandb logs offline, to be uploaded by wandb sync"
    assert said(WANDB_MODE="disabled") == "a key is there; logger=wandb logs nothing"
    netrc.write_text("this is no netrc")
    assert said().startswith("no key")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("OMP_NUM_THREADS", "many", "OMP_NUM_THREADS=many is no number of threads"),
        ("OMP_NUM_THREADS", "0", "OMP_NUM_THREADS=0 is no number of threads"),
        ("CUDA_VISIBLE_DEVICES", "", "CUDA_VISIBLE_DEVICES hides every GPU from torch"),
        ("LOCAL_RANK", "1", "LOCAL_RANK=1 says that this is not the first process"),
        ("WANDB_DISABLED", "true", "WANDB_DISABLED is one of W&B's old switches"),
        ("WANDB_MODE", "ofline", "WANDB_MODE=ofline is none of W&B's modes"),
    ],
)
def test_variables_that_do_harm(tmp_path: Path, variable: str, value: str, said: str) -> None:
    (trouble,) = settings_section({variable: value}, tmp_path).troubles
    assert trouble.what.startswith(said)
    assert trouble.remedy


def test_variables_that_do_none(tmp_path: Path) -> None:
    harmless = {"OMP_NUM_THREADS": "4,2", "CUDA_VISIBLE_DEVICES": "1", "LOCAL_RANK": "0"}
    assert settings_section(harmless, tmp_path).troubles == []


def test_versions_of_all_that_is_required() -> None:
    facts = dict(packages_section().facts)
    for text in PYPROJECT["project"]["dependencies"]:
        name = Requirement(text).name
        assert facts[name] == version(name)
    assert Report((packages_section(),)).code == 0


def test_extras_and_modules_are_those_of_the_project() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    assert extras.keys() - {"dev", "docs"} == EXTRAS.keys()
    assert {Requirement(text).name for text in PYPROJECT["project"]["dependencies"]} <= MODULES.keys()
    assert OF_EXTRAS.keys() <= {Requirement(text).name for name in EXTRAS for text in extras[name]}


def test_what_is_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"timm": "0.9.2", "onnxruntime": "1.0"}

    def found(name: str) -> str:
        if name in ("lightning", "h5py", "transformers"):
            raise PackageNotFoundError(name)
        return others.get(name) or version(name)

    monkeypatch.setattr(doctor_packages, "version", found)
    section = packages_section()
    facts = dict(section.facts)
    assert facts["lightning"] == "missing"
    assert "without h5py; for transkd-data data=nyuv2" in facts["extra nyuv2"]
    assert facts["extra nyuv2"].endswith("pip install 'transkd[nyuv2]'")
    assert "pip install transformers" in facts["transformers"]
    told = {trouble.what.split(" ")[0]: trouble for trouble in section.troubles}
    assert told.keys() == {"lightning", "timm", "onnxruntime"}
    assert told["lightning"].what == "lightning is missing"
    assert told["timm"].what.startswith("timm is 0.9.2, and transkd needs ")
    assert told["timm"].remedy.startswith("pip install 'timm")
    assert [told[name].broken for name in ("lightning", "timm", "onnxruntime")] == [True, True, False]


def test_a_python_that_is_too_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.14.1")
    (trouble,) = (each for each in packages_section().troubles if each.what.startswith("Python"))
    assert trouble.broken
    assert "3.14.1 is none that transkd runs on" in trouble.what


def test_another_command_on_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "transkd-train").write_text("#!/bin/sh\n")
    (tmp_path / "transkd-train").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    (trouble,) = python_section().troubles
    assert "the shell's transkd-train is another one than this Python's" in trouble.what
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert "the shell finds no transkd-train" in str(python_section().troubles)


def test_torch_is_computed_with_in_each_precision(capsys: pytest.CaptureFixture[str]) -> None:
    doctor_trial.main(["torch", "no_such_module"])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    trial = Trial([line for line in lines if "step" in line])
    assert {line["module"]: line.get("error") for line in trial.of("import")} == {
        "torch": None,
        "no_such_module": "ModuleNotFoundError: No module named 'no_such_module'",
    }
    on_cpu = {line["precision"]: line for line in trial.of("precision") if line["device"] == "cpu"}
    assert on_cpu.keys() == {"fp32", "bf16", "fp16"}
    assert on_cpu["fp32"]["ms"] > 0
    facts = dict(devices_section(trial, []).facts)
    assert facts["torch"].startswith(version("torch"))
    assert facts["cpu, fp32"].startswith("works, ")
    assert facts["cpu, bf16"].endswith("(trainer.precision=bf16-mixed)")


def test_a_precision_that_is_not_there_is_told() -> None:
    trial = Trial(
        [
            {"step": "torch", "version": "2.9", "cuda_build": None, "hip_build": None, "cudnn": None, "gpus": 0}
            | {"threads": 2, "cpu": "AVX2", "warnings": ["the driver is old"]},
            {"step": "device", "device": "mps", "warnings": []},
            {"step": "precision", "device": "mps", "precision": "fp32", "ms": 1.0},
            {"step": "precision", "device": "mps", "precision": "bf16", "error": "RuntimeError: no bf16 here"},
        ]
    )
    section = devices_section(trial, ["NVIDIA T4, 535.1, 15360 MiB"])
    facts = dict(section.facts)
    assert facts["mps, bf16"] == "RuntimeError: no bf16 here"
    assert facts["torch says"] == "the driver is old"
    (trouble,) = section.troubles
    assert trouble.what == (
        "there is a GPU (NVIDIA T4, 535.1, 15360 MiB), and torch does not find it: it is built for CPUs only"
    )


def test_a_gpu_is_described() -> None:
    line = {"step": "device", "device": "cuda:0", "name": "T4", "free": 15 * GB, "total": 16 * GB}
    line |= {"capability": "7.5", "processors": 40}
    facts = dict(devices_section(Trial([line]), []).facts)
    assert facts["cuda:0"] == "T4, 15.0 GB free of 16.0 GB, compute capability 7.5, 40 processors"


ENDS = {
    "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)": "SIGSEGV",
    """import os; os.write(1, b'{"begin": "comp'); os.kill(os.getpid(), 9)""": "SIGKILL",
    "import sys; sys.exit('it has had enough')": "exit code 1, it has had enough",
    "import time; time.sleep(60)": "took longer than 2 s",
}


@pytest.mark.parametrize("code", ENDS)
def test_a_library_that_takes_python_down(code: str) -> None:
    begun = 'print(\'{"begin": "importing torch"}\', flush=True); '
    heard: list[str] = []
    trial = try_out(["torch"], heard.append, command=[sys.executable, "-c", begun + code], patience=2)
    assert heard == ["importing torch"]
    assert trial.end == ENDS[code]
    report = Report((libraries_section(trial),))
    assert report.code == 1
    assert report.troubles[0].what == f"importing torch ends Python: {ENDS[code]}"
    assert "torchvision together" in report.troubles[0].remedy


def test_one_cause_is_one_trouble() -> None:
    lines = [{"step": "import", "module": name, "error": "ImportError: libcudnn"} for name in ("torch", "timm")]
    section = libraries_section(Trial([*lines, {"step": "import", "module": "onnx", "error": "ImportError: old"}]))
    assert [(trouble.what, trouble.broken) for trouble in section.troubles] == [
        ("torch cannot be imported: ImportError: libcudnn", True),
        ("onnx cannot be imported: ImportError: old", False),
    ]
    assert dict(section.facts)["timm"] == "ImportError: libcudnn"


def test_what_is_pasted_names_nobody_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/homes/jane doe")
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "jdoe")
    section = Section("Python")
    section.add("folder", "/homes/jane doe/env (jdoe)")
    section.add("library", "OSError: '/scratch/jdoe/x/libc.so.6': not found, C:\\Users\\Jane\\lib.dll, 5/6 | a")
    section.warn("shared memory (/dev/shm) is full; /data/projects/jdoe", "see https://pytorch.org/get-started/locally")
    report = Report((section,))
    for text in (as_markdown(report), as_json(report)):
        for private in ("jane", "Jane", "jdoe", "/homes", "/scratch", "/data/", "Users", "projects"):
            assert private not in text
        for public in ("libc.so.6", "lib.dll", "/dev/shm", "https://pytorch.org/get-started/locally", "5/6"):
            assert public in text
    assert "/homes/jane doe/env" in as_text(report, colours=False)
    assert "5/6 \\| a |" in as_markdown(report)


def test_generic_accounts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    assert anonymous("the data root of root") == "the data root of root"


def test_colours_only_where_they_are_wanted() -> None:
    section = Section("Python")
    section.add("a", "b")
    section.warn("c", "d", broken=True)
    assert "\x1b[31mbroken\x1b[0m: c" in as_text(Report((section,)), colours=True)
    assert "\x1b" not in as_text(Report((section,)), colours=False)


def test_the_command_without_trials(run: Command, tmp_path: Path) -> None:
    outcome = run("trials=false", name=NAME)
    assert (outcome.code, outcome.err) == (0, "")
    for shown in (
        "Python and transkd",
        "Dependencies",
        "Machine",
        "Settings",
        "For a bug report: transkd-doctor format=",
    ):
        assert shown in outcome.out
    assert "\x1b" not in outcome.out
    assert list(tmp_path.iterdir()) == []
    report = json.loads(run("trials=false", "format=json", name=NAME).out)
    assert report["sections"]["Dependencies"]["torch"] == version("torch")


def test_mistakes_are_told(run: Command) -> None:
    assert run("format=jsn", "trials=5", "fromat=json", name=NAME).refused(NAME).splitlines()[1:] == [
        "  fromat: there is no such key; did you mean 'format'?",
        "  format: there is no such choice; did you mean 'json'? (it is 'jsn')",
        "  trials: give true or false (it is 5)",
    ]


def test_a_broken_torch_is_told_and_not_a_traceback(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken/torch").mkdir(parents=True)
    (tmp_path / "broken/torch/__init__.py").write_text("raise ImportError('libcudnn.so.9: cannot open')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    monkeypatch.setattr(doctor_run, "modules_to_try", lambda: ["torch", "filelock"])
    outcome = run("format=markdown", name=NAME)
    assert (outcome.code, outcome.err) == (1, "")
    assert "| torch | ImportError: libcudnn.so.9: cannot open |" in outcome.out
    assert (
        "- **broken**: torch cannot be imported: ImportError: libcudnn.so.9: cannot open. install torch" in outcome.out
    )
    assert outcome.out.endswith("One thing that transkd needs is missing or broken.\n")


def test_everything_that_is_installed_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert modules_to_try() == [*MODULES.values(), *OF_EXTRAS.values()]
    monkeypatch.setattr(doctor_torch, "version", lambda name: (_ for _ in ()).throw(PackageNotFoundError(name)))
    assert modules_to_try() == list(MODULES.values())


def test_it_works_where_hydra_does_not(tmp_path: Path) -> None:
    (tmp_path / "hydra").mkdir()
    (tmp_path / "hydra/__init__.py").write_text("raise ValueError('badly formed help string')\n")
    command = [sys.executable, "-P", "-m", "transkd.cli.doctor", "format=json", "trials=false"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["sections"]["Dependencies"]["hydra-core"] == version("hydra-core")
