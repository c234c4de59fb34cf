"""The files of a report: pages, tables and plots, the same bytes each time."""

from __future__ import annotations

import base64
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from made_runs import BARE, PALETTE, Maker
from PIL import Image

from transkd.reporting import ReportOptions, build_report, report_files
from transkd.reporting.drawing import LIGHT, folded, shortened, spread_apart
from transkd.reporting.plots import classes_figure
from transkd.reporting.tables import latex_text

GOLDEN = Path(__file__).parent / "golden_report.md"
PLOTS = ("gains", "curves", "miou-gmac", "miou-latency", "classes")
LOADING = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "background"}


def files_of(**options: object) -> dict[str, bytes]:
    """Return the files of the report on the folder ``runs``."""
    return report_files(build_report(ReportOptions(("runs",), command="transkd-report runs=runs", **options)))  # type: ignore[arg-type]


class Page(HTMLParser):
    """What an HTML page would load, the cells of its tables, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)

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
    """Return the files of the field's report, made once for all tests that only look at them."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("field")
        patch.chdir(folder)
        maker = Maker(folder / "runs", compose_config)  # type: ignore[arg-type]
        write_field(maker)
        return files_of()


def write_field(make: Maker) -> None:
    """Write a teacher, three plain students, three of a method, and one of another; one run is unfinished."""
    scenes = ("scene_1", "scene_2")
    make.teacher(pictures=scenes)
    taught = ("teacher.weights=runs/teacher-s0/model",)
    for seed, (plain, better) in enumerate(((0.400, 0.502), (0.410, 0.508), (0.405, 0.511))):
        make("none", seed, plain, pictures=scenes)
        make("transkd_ea", seed, better, overrides=taught, pictures=scenes)
    make("kd", 0, 0.41, overrides=taught)
    (make("kd", 1, overrides=taught) / "results.json").unlink()


def test_the_files(made: dict[str, bytes]) -> None:
    plots = {f"{name}.{kind}" for name in PLOTS for kind in ("svg", "png")}
    assert made.keys() == {"report.html", "report.md", "report.json", "table.csv", "table.tex", *plots}


def test_the_page_loads_nothing(made: dict[str, bytes]) -> None:
    html = made["report.html"].decode()
    page = Page(html)
    assert len(page.loaded) > 15
    assert all(value.startswith(("data:image/svg+xml;base64,", "data:image/png;base64,", "data:image/jpeg;base64,"))
               for value in page.loaded)  # fmt: skip
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r'base64,[^"]*', "", html))
    assert page.open == []


def test_the_pictures_of_the_page_are_whole(made: dict[str, bytes]) -> None:
    for value in Page(made["report.html"].decode()).loaded:
        kind, content = value.split(";base64,")
        data = base64.b64decode(content, validate=True)
        if kind == "data:image/svg+xml":
            assert data.startswith(b"<?xml")
            assert not re.search(rb"(href|src)=\"http", data)
        else:
            Image.open(io.BytesIO(data)).load()


def test_the_page_suits_dark_screens_and_phones(made: dict[str, bytes]) -> None:
    html = made["report.html"].decode()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in html
    assert "@media (prefers-color-scheme: dark)" in html
    dark = re.findall(
        r'<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)"><img alt="[^"]*" src="([^"]+)"', html
    )
    assert len(dark) == len(PLOTS)
    assert all(one != other for one, other in dark)


def test_the_page_shows_scenes_commands_machine_and_what_was_left_out(made: dict[str, bytes]) -> None:
    page = Page(made["report.html"].decode())
    captions = [text for tag, text in page.texts if tag == "figcaption"]
    assert captions[len(PLOTS) :] == ["image", "label", "teacher mit_b2", "plain student", "transkd_ea"] * 2
    texts = [text for _, text in page.texts]
    for text in (
        "scene_1",
        "cpu (x86_64)",
        "transkd_ea, seed 0, likewise 1, 2",
        "transkd-train distillation=transkd_ea seed=0",
        "runs/made-kd-s1",
        "unfinished: it has no results.json",
        "a gain",
        "too few seeds to tell",
    ):
        assert text in texts, text


def test_scenes_are_cut_where_the_panels_are(made: dict[str, bytes]) -> None:
    """Predictions were drawn road on the left and car on the right, 96 pixels wide, and the image grey."""
    html = made["report.html"].decode()
    panels = dict(
        re.findall(r'<img alt="([^"]+)" width="96" height="48" loading="lazy" src="data:[^,]+,([^"]+)"', html)
    )
    assert panels.keys() == {"image", "label", "teacher mit_b2", "plain student", "transkd_ea"}
    for title, content in panels.items():
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
        assert pixels.shape == (48, 96, 3)
        expected = np.zeros_like(pixels)
        expected[:, :48], expected[:, 48:] = (200, 200) if title == "image" else (PALETTE[0], PALETTE[2])
        assert np.abs(pixels.astype(int) - expected).max() <= (3 if title == "image" else 0), title


def test_the_same_runs_give_the_same_bytes(make: Maker, made: dict[str, bytes]) -> None:
    """In another folder, of other files with the same content."""
    write_field(make)
    again = files_of()
    assert again.keys() == made.keys()
    assert [name for name in made if again[name] != made[name]] == []


def test_plots_name_no_date_and_no_program(made: dict[str, bytes]) -> None:
    for name in PLOTS:
        for word in (b"<dc:date>", b"<dc:creator>", b"Matplotlib v"):
            assert word not in made[f"{name}.svg"]
        picture = Image.open(io.BytesIO(made[f"{name}.png"]))
        assert "Software" not in picture.info
        assert picture.width > 800
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10, "not blank"


def test_the_golden_report(made: dict[str, bytes]) -> None:
    """The page as it was read and found right; what it says of the recipe depends on conf/ and is left out."""
    lines = made["report.md"].decode().splitlines()
    assert [
        line for line in lines if not line.startswith("- recipe of the students")
    ] == GOLDEN.read_text().splitlines()


def test_latex(made: dict[str, bytes]) -> None:
    text = made["table.tex"].decode()
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    assert r"transkd\_ea & 3 & 50.70 $\pm$ 0.46 & +10.20 & +9.21 to +11.19 & a gain & 34.6 &" in text
    assert not re.search(r"(?<!\\)[_%&#](?=\w)", text.replace("% \\usepackage", "").replace(" & ", " "))
    for row in text.splitlines():
        assert row.isascii()
        if row.endswith(r"\\"):
            assert row.count(" & ") in (7, 9)


def test_latex_escapes_every_sign() -> None:
    assert latex_text(r"a_b & 5 % of $x$ #1 {y} ~ ^ \z") == (
        r"a\_b \& 5 \% of \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{}z"
    )


def test_names_cannot_break_the_pages(make: Maker) -> None:
    evil = '<script>alert("x")</script>|`_*'
    make("none", results=BARE | {"command": evil, "device": evil, "per_class": {evil: 0.5}}, curve=())
    files = files_of()
    html = files["report.html"].decode()
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;|`_*" in html
    assert Page(html).open == []
    rows = [line for line in files["report.md"].decode().splitlines() if line.startswith("| \\<script>")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3]


def test_a_folder_whose_name_is_no_text(make: Maker) -> None:
    run = make("none", results=BARE, curve=())
    os.rename(os.fsencode(run), os.fsencode(run.parent) + b"/caf\xe9")  # noqa: PTH104, a name of bytes
    assert b"runs/caf?" in files_of()["report.html"]


def test_a_backtick_that_nothing_closes_hides_no_tag(make: Maker) -> None:
    make("none", results=BARE | {"command": "run `now", "device": "a`<b>"}, curve=())
    text = files_of()["report.md"].decode()
    assert "- device: a'\\<b>" in text
    assert "- plain student, seed 0: `` run `now ``\n" in text


def test_commands_that_differ_in_the_seed_alone_are_one(make: Maker) -> None:
    taught = "transkd-train teacher.weights=runs/teacher-s0/model"
    for seed in range(3):
        command = f"{taught} seed={seed} name=made-s{seed} 'output=runs/made-s{seed}'"
        make("none", seed, results=BARE | {"command": command}, curve=())
    for seed, device in enumerate((1, 1, 2)):
        make("kd", seed, results=BARE | {"command": f"{taught} trainer.devices={device} seed={seed}"}, curve=())
    text = files_of()["report.md"].decode()
    assert [line for line in text.splitlines() if line.startswith("- ") and ", seed " in line] == [
        f"- plain student, seed 0, likewise 1, 2: `{taught} seed=0 name=made-s0 'output=runs/made-s0'`",
        f"- kd, seed 0, likewise 1: `{taught} trainer.devices=1 seed=0`",
        f"- kd, seed 2: `{taught} trainer.devices=2 seed=2`",
    ]


def test_names_with_dollars_and_of_any_script_are_drawn(make: Maker, recwarn: pytest.WarningsRecorder) -> None:
    names = {"$\\foo$": 0.5, "a$b_^{": 0.4, "道路 \U0001f600": 0.3, "tab\tand\x07bell": 0.2}
    for method, overrides in (("none", ()), ("kd", ("teacher.weights=random",))):
        make(method, overrides=overrides, results={"per_class": names, "latency_ms": None}, curve=())
    svg = files_of()["classes.svg"]
    ElementTree.fromstring(svg)
    assert [str(one.message) for one in recwarn if "Glyph" in str(one.message)] == []


def test_a_plot_of_very_many_classes_has_those_that_change_most(make: Maker) -> None:
    made = {"none": {f"class {n}": 0.5 for n in range(300)}}
    made["kd"] = made["none"] | {f"class {n}": 0.5 + n / 10_000 for n in range(300)}
    for method, overrides in (("none", ()), ("kd", ("teacher.weights=random",))):
        make(method, overrides=overrides, results={"per_class": made[method], "latency_ms": None}, curve=())
    (table,) = build_report(ReportOptions(("runs",))).tables
    figure = classes_figure(table.rows, LIGHT)
    assert figure is not None
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"class {n}" for n in range(220, 300)]
    assert axes.get_xlabel() == "the 80 of 300 classes that change most"


def test_long_titles_are_folded_and_shortened() -> None:
    title = "transkd_ea + kd + cwd, csf.schedule.name warm_up, csf.schedule.share 0.1, kd.weight 2.0, cwd.weight 3"
    lines = folded(title).split("\n")
    assert len(lines) == 3
    assert all(len(one) <= 30 for one in lines)
    assert lines[0] == "transkd_ea + kd + cwd,"
    assert shortened(title) == "transkd_ea + kd + cwd … 2.0, cwd.weight 3"
    assert (folded("kd"), shortened("kd"), folded("\x07")) == ("kd", "kd", "(no name)")


def test_a_single_run_has_the_plots_that_it_has_numbers_for(make: Maker) -> None:
    make("none", results=BARE, curve=())
    assert {name for name in files_of() if name.endswith("png")} == {"miou-gmac.png"}


def test_pictures_that_are_damaged_or_laid_out_otherwise_are_passed_over(make: Maker) -> None:
    run = make("none", pictures=("a", "b", "c"), results=BARE, curve=())
    (run / "predictions/a.png").write_bytes(b"no picture")
    Image.new("RGB", (100, 100)).save(run / "predictions/b.png")
    texts = [text for _, text in Page(files_of()["report.html"].decode()).texts]
    assert "c" in texts
    assert "a" not in texts
    assert "b" not in texts


def test_each_table_has_its_files(make: Maker) -> None:
    make("none", at="brief", results=BARE)
    make("none", at="long", overrides=("trainer.max_epochs=80",), results=BARE)
    files = files_of(split=True)
    assert {"table-1.csv", "table-2.csv", "table-1.tex", "curves-1.png", "curves-2.svg"} <= files.keys()
    assert not {"table.csv", "curves.png"} & files.keys()
    labels = re.findall(r"\\label{(.*?)}", (files["table-1.tex"] + files["table-2.tex"]).decode())
    assert labels == ["tab:scores-1", "tab:costs-1", "tab:scores-2", "tab:costs-2"], "one document may hold both"
    text = files["report.md"].decode()
    assert text.index("## trainer.max_epochs=40") < text.index("## trainer.max_epochs=80")
    assert "](curves-2.png)" in text


@pytest.mark.parametrize(
    ("positions", "expected"),
    [([0.0, 5.0], [0.0, 5.0]), ([1.0, 1.0], [0.5, 1.5]), ([2.0, 1.9, 0.0], [2.45, 1.45, 0.0]), ([], [])],
)
def test_labels_are_moved_as_little_as_it_takes(positions: list[float], expected: list[float]) -> None:
    assert spread_apart(positions, 1.0) == pytest.approx(expected)


def test_labels_never_overlap() -> None:
    numbers = np.random.default_rng(0).random((50, 9)) * 6
    for row in numbers:
        moved = spread_apart(list(row), 1.0)
        assert np.diff(sorted(moved)).min() >= 1 - 1e-9
        assert list(np.argsort(moved)) == list(np.argsort(row))
