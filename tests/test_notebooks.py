"""The notebooks: they run as in Jupyter, keep clean and small outputs, and use what is public."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "scripts"))

import run_notebooks  # noqa: E402

NOTEBOOKS = sorted(run_notebooks.NOTEBOOKS.glob("*.ipynb"))
LARGEST_BYTES = 300_000
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|usr|opt|var|private|mnt)/|[A-Z]:\\\\|site-packages")
NOISE = re.compile(r"Warning|Traceback|it/s|s/it|\bGPU available|Seed set|\d\d:\d\d:\d\d|\b20\d\d-\d\d-\d\d")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def noise(notebook: Any) -> list[str]:
    """Return the outputs' texts that hold what differs from run to run; pictures have no text."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    texts = [output.get("text", "") for output in outputs]
    texts += [text for o in outputs for kind, text in o.get("data", {}).items() if not kind.startswith("image/")]
    return [text for text in texts if OF_A_MACHINE.search(text) or NOISE.search(text)]


def kinds_of_outputs(notebook: Any) -> list[list[str]]:
    return [
        sorted({kind for output in cell.outputs for kind in output.get("data", {output.output_type: ""})})
        for cell in code_cells(notebook)
    ]


def transkd_names(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of all that is taken from transkd, by import or as an attribute of it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "transkd")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "transkd":
            yield from ((str(node.module), alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "transkd":
            yield "transkd", node.attr


@pytest.mark.slow
@each_notebook
def test_it_runs_as_in_jupyter(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more threads than free cores wait for each other
    executed = run_notebooks.execute(path, tmp_path)
    run_notebooks.strip_noise(executed)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"out", "runs"}
    assert kinds_of_outputs(executed) == kinds_of_outputs(read(path))
    assert not noise(executed)


@each_notebook
def test_outputs_are_kept_small_and_clean(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < LARGEST_BYTES
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    shown = [kind for kinds in kinds_of_outputs(notebook) for kind in kinds]
    assert "image/png" in shown
    assert not {"error", "image/jpeg"} & set(shown)
    assert not noise(notebook)
    assert not [output for cell in code_cells(notebook) for output in cell.outputs if output.get("name") == "stderr"]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert not [cell for cell in notebook.cells if cell.metadata]


@each_notebook
def test_it_uses_what_is_public_and_its_links_lead_somewhere(path: Path) -> None:
    notebook = read(path)
    sources = [cell.source for cell in code_cells(notebook) if not cell.source.startswith("%%bash")]
    names = {pair for source in sources for pair in transkd_names(ast.parse(source))}
    assert names
    for module, name in names:
        assert module.count(".") <= 1 or module == "transkd.data.synth", f"{module} is no public module"
        assert not name or name in importlib.import_module(module).__all__, f"{module}.{name} is not public"
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert links
    assert not [link for link in links if not (path.parent / link).is_file()]


def test_there_are_four_and_one_runs_an_onnx_file_without_transkd() -> None:
    assert [path.stem for path in NOTEBOOKS] == [
        "1_distil",
        "2_own_teacher_own_data",
        "3_write_a_loss",
        "4_read_results",
    ]
    (alone,) = [cell.source for cell in code_cells(read(NOTEBOOKS[1])) if "InferenceSession" in cell.source]
    assert "onnxruntime" in alone
    assert not re.search(r"\b(transkd|torch|lightning)\b", re.sub(r"#.*|\"[^\"]*\"", "", alone))
