"""The files of a report: pages, tables, plots and scenes, the same bytes each time."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_runs import BARE, PALETTE, TAUGHT, Maker, report
from PIL import Image

import transkd
from transkd.errors import ConfigError
from transkd.reporting import report_files
from transkd.reporting.files import markdown_lines, report_json

GOLDEN = Path(__file__).parent / "golden_report.md"
PLOTS = ("gains", "curves", "miou-gmac", "miou-latency", "classes")
LOADING = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background"}


class Page(HTMLParser):
    """What an HTML page would load, its tags, and its texts."""

    def __init__(self, html: bytes) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html.decode())
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in LOADING]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, compose_config: object) -> dict[str, bytes]:
    """Return the files of a report, made once for all tests that only read them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("made")
        patch.chdir(folder)
        write_runs(Maker(folder / "runs", compose_config))  # type: ignore[arg-type]
        return report_files(report(command="transkd-report runs=runs"))


def write_runs(make: Maker) -> None:
    """Write a teacher, three plain students, three of a method, and one of another; one run is unfinished."""
    scenes = ("scene_1", "scene_2")
    make.teacher(pictures=scenes)
    for seed, (plain, better) in enumerate(((0.400, 0.502), (0.410, 0.508), (0.405, 0.511))):
        make("none", seed, plain, pictures=scenes)
        make("transkd_ea", seed, better, overrides=TAUGHT, pictures=scenes)
    make("kd", 0, 0.41, overrides=TAUGHT)
    (make("kd", 1, overrides=TAUGHT) / "results.json").unlink()


def test_the_page_loads_nothing(made: dict[str, bytes]) -> None:
    page = Page(made["report.html"])
    assert len(page.loaded) > 15
    for value in page.loaded:
        kind, content = value.split(";base64,")
        data = base64.b64decode(content, validate=True)
        if kind == "data:image/svg+xml":
            assert data.startswith(b"<?xml")
            assert not re.search(rb"(href|src)=\"http", data)
        else:
            assert kind in ("data:image/png", "data:image/jpeg")
            Image.open(io.BytesIO(data)).load()
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r'base64,[^"]*', "", made["report.html"].decode()))


def test_the_page_shows_scenes_commands_machine_and_what_was_left_out(made: dict[str, bytes]) -> None:
    page = Page(made["report.html"])
    captions = [text for tag, text in page.texts if tag == "figcaption"]
    assert captions[len(PLOTS) :] == ["image", "label", "teacher mit_b2", "plain student", "transkd_ea"] * 2
    assert {
        "scene_1",
        "cpu (x86_64)",
        "transkd_ea, seed 0, likewise 1, 2",
        "transkd-train distillation=transkd_ea seed=0",
        "runs/made-kd-s1",
        "unfinished: it has no results.json",
        "a gain",
        "too few seeds to tell",
    } <= {text for _, text in page.texts}


def test_scenes_are_cut_where_the_panels_are(made: dict[str, bytes]) -> None:
    """Predictions were drawn road on the left and car on the right, 96 pixels wide, and the image grey."""
    pattern = r'<img alt="([^"]+)" width="96" height="48" loading="lazy" src="data:[^,]+,([^"]+)"'
    panels = dict(re.findall(pattern, made["report.html"].decode()))
    assert panels.keys() == {"image", "label", "teacher mit_b2", "plain student", "transkd_ea"}
    for title, content in panels.items():
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        expected = np.zeros((48, 96, 3))
        expected[:, :48], expected[:, 48:] = (200, 200) if title == "image" else (PALETTE[0], PALETTE[2])
        assert np.abs(pixels - expected).max() <= (3 if title == "image" else 0), title


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(make: Maker, made: dict[str, bytes]) -> None:
    """In another folder, of other files with the same content."""
    plots = {f"{name}.{kind}" for name in PLOTS for kind in ("svg", "png")}
    assert made.keys() == {"report.html", "report.md", "report.json", "table.csv", "table.tex", *plots}
    write_runs(make)
    assert report_files(report(command="transkd-report runs=runs")) == made


def test_the_golden_report(made: dict[str, bytes]) -> None:
    """The page as it was read and found right; the recipe depends on conf/ and is left out."""
    lines = made["report.md"].decode().splitlines()
    kept = [line for line in lines if not line.startswith("- recipe of the students")]
    assert kept == GOLDEN.read_text().splitlines()


def test_latex(made: dict[str, bytes]) -> None:
    text = made["table.tex"].decode()
    assert text.isascii()
    assert [text.count(rf"\{name}") for name in ("begin{table}", "end{table}", "toprule", "bottomrule")] == [2] * 4
    assert r"transkd\_ea & 3 & 50.70 $\pm$ 0.46 & +10.20 & +9.21 to +11.19 & a gain & 34.6 &" in text
    assert {row.count(" & ") for row in text.splitlines() if row.endswith(r"\\")} == {7, 9}


def test_names_cannot_break_the_pages(make: Maker) -> None:
    evil = '<script>alert("x")</script>|`_*'
    run = make("none", results=BARE | {"command": evil, "device": evil, "per_class": {evil: 0.5}}, curve=())
    os.rename(os.fsencode(run), os.fsencode(run.parent) + b"/caf\xe9")  # noqa: PTH104, a name that is no UTF-8
    files = report_files(report())
    html, text = files["report.html"], files["report.md"].decode()
    assert "script" not in Page(html).tags
    assert b"&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;|`_*" in html
    assert b"runs/caf?" in html
    rows = [line for line in text.splitlines() if line.startswith("| \\<script>")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3]
    assert '- device: \\<script>alert("x")\\</script>|\'_\\*' in text, "a backtick that nothing closes hides no tag"
    assert f"- plain student, seed 0: `` {evil} ``\n" in text


def test_commands_that_differ_in_the_seed_alone_are_one(make: Maker) -> None:
    taught = "transkd-train teacher.weights=runs/teacher-s0/model"
    for seed in range(3):
        command = f"{taught} seed={seed} name=made-s{seed} 'output=runs/made-s{seed}'"
        make("none", seed, results=BARE | {"command": command}, curve=())
    make("none", 3, results=BARE | {"command": f"{taught} trainer.devices=2 seed=3"}, curve=())
    text = report_files(report())["report.md"].decode()
    assert [line for line in text.splitlines() if line.startswith("- ") and ", seed " in line] == [
        f"- plain student, seed 0, likewise 1, 2: `{taught} seed=0 name=made-s0 'output=runs/made-s0'`",
        f"- plain student, seed 3: `{taught} trainer.devices=2 seed=3`",
    ]


def test_a_single_run_with_damaged_pictures(make: Maker) -> None:
    run = make("none", pictures=("a", "b", "c"), results=BARE, curve=())
    (run / "predictions/a.png").write_bytes(b"no picture")
    Image.new("RGB", (100, 100)).save(run / "predictions/b.png")
    files = report_files(report())
    assert [text for tag, text in Page(files["report.html"]).texts if tag == "h4"] == ["c"]
    assert {name for name in files if name.endswith("png")} == {"miou-gmac.png"}, "it has numbers for no other plot"


def test_each_table_has_its_files(make: Maker) -> None:
    make("none", at="brief", results=BARE, curve=())
    make("none", at="long", overrides=("trainer.max_epochs=80",), results=BARE, curve=())
    files = report_files(report(split=True))
    assert {"table-1.csv", "table-2.csv", "table-1.tex", "miou-gmac-1.png", "miou-gmac-2.svg"} <= files.keys()
    assert not {"table.csv", "miou-gmac.png"} & files.keys()
    labels = re.findall(r"\\label{(.*?)}", (files["table-1.tex"] + files["table-2.tex"]).decode())
    assert labels == ["tab:scores-1", "tab:costs-1", "tab:scores-2", "tab:costs-2"], "one document may hold both"
    text = files["report.md"].decode()
    assert text.index("## trainer.max_epochs=40") < text.index("## trainer.max_epochs=80")
    assert "](miou-gmac-2.png)" in text


def test_from_python_and_in_a_notebook(field: Path) -> None:
    ours = transkd.report("runs", exclude=("distillation.name:cwd",), confidence=0.9)
    assert report_json(ours) == report_json(report(exclude=("distillation.name:cwd",), confidence=0.9))
    assert repr(ours) == "<Report: 10 runs, 1 table>"
    lines = [line for line in ours._repr_markdown_().splitlines() if line]
    assert lines[0].startswith("| method | seeds | mIoU, %")
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(ours.tables[0].rows)
    assert set(lines) <= set(markdown_lines(ours, [{}]))
    with pytest.raises(ConfigError, match="there is no finished run"):
        transkd.report(field / "made-kd-s0/checkpoints")
