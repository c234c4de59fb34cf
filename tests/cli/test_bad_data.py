"""What is wrong with the files, as a person who runs the command sees it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_runs import Command, tiny_run
from PIL import Image


def first(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def test_a_missing_root_says_the_layout_and_where_the_data_is_had(run: Command) -> None:
    message = run("data.root=nowhere").refused(code=1)
    assert "nowhere does not exist" in message
    assert "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png" in message
    assert "https://www.cityscapes-dataset.com" in message
    assert "transkd-data action=synth" in message


@pytest.mark.parametrize("experiment", ["camvid_teacher", "acdc_teacher"])
def test_an_empty_root_does_too(run: Command, tmp_path: Path, experiment: str) -> None:
    (tmp_path / "empty").mkdir()
    message = run(f"+experiment={experiment}", "data.root=empty").refused(code=1)
    assert f"{tmp_path / 'empty'} is empty" in message
    assert "is expected as" in message


def test_images_without_labels_are_counted_and_named(run: Command, scenes: Path) -> None:
    label = first(scenes, "gtFine/train/*/*_labelIds.png")
    label.unlink()
    message = run(*tiny_run(scenes)).refused(code=1)
    assert "1 images without labels" in message
    assert label.name.removesuffix("_gtFine_labelIds.png") in message


@pytest.mark.parametrize("workers", [0, 2])
def test_a_truncated_image_met_in_training_is_named(run: Command, scenes: Path, workers: int) -> None:
    for image in sorted(scenes.glob("leftImg8bit/train/*/*.png"))[1:]:  # the first one is read before training
        image.write_bytes(image.read_bytes()[:400])
    outcome = run(*tiny_run(scenes, workers=workers), "output=out")
    message = outcome.refused(code=1)
    assert "leftImg8bit/train/" in message
    assert "truncated or damaged" in message
    assert "DataLoader" not in message


def test_a_label_of_ids_outside_the_classes_names_file_and_ids(run: Command, scenes: Path) -> None:
    for label in scenes.glob("gtFine/train/*/*_labelIds.png"):
        ids = np.array(Image.open(label))
        ids[:4] = 77
        Image.fromarray(ids).save(label)
    message = run(*tiny_run(scenes)).refused(code=1)
    assert "_gtFine_labelIds.png" in message
    assert "77" in message


def test_a_label_of_another_size_than_its_image_is_named(run: Command, scenes: Path) -> None:
    for label in scenes.glob("gtFine/train/*/*_labelIds.png"):
        Image.open(label).resize((64, 32), Image.Resampling.NEAREST).save(label)
    message = run(*tiny_run(scenes)).refused(code=1)
    assert "32x64 pixels" in message
    assert "64x128" in message


def test_missing_teacher_weights_say_how_to_get_some(run: Command, tiny: list[str]) -> None:
    message = run(*tiny, "distillation=transkd_base").refused(code=1)
    assert "teacher.weights is not set" in message
    assert "teacher.weights=random" in message
    message = run(*tiny, "distillation=transkd_base", "teacher.weights=nowhere").refused(code=1)
    assert "there are no weights at nowhere" in message
    assert "transkd-train +experiment=" in message


def test_a_teacher_of_another_architecture_names_the_first_tensors_that_differ(
    run: Command, tiny: list[str], teachers: Path
) -> None:
    message = run(*tiny, "distillation=transkd_base", "teacher=mit_b1", f"teacher.weights={teachers}/b0").refused(
        code=1
    )
    assert "backbone mit_b0, not mit_b1" in message
    assert "backbone.patch_embed.proj.weight" in message
    assert "teacher=mit_b0, or teacher=auto" in message


def test_a_teacher_of_another_class_count_teaches_by_its_features(
    run: Command, tiny: list[str], teachers: Path
) -> None:
    result = run(*tiny, "distillation=transkd_base", "teacher=auto", f"teacher.weights={teachers}/b1_11")
    assert result.code == 0
    assert f"teacher  mit_b1, {teachers}/b1_11" in result.out


def test_student_weights_of_another_class_count_are_refused(run: Command, tiny: list[str], teachers: Path) -> None:
    message = run(*tiny, "student=mit_b1", f"student.weights={teachers}/b1_11").refused(code=1)
    assert "has 11 classes, but the dataset has 19" in message


def test_student_weights_that_do_not_exist_are_refused(run: Command, tiny: list[str]) -> None:
    assert "there are no weights at nowhere" in run(*tiny, "student.weights=nowhere").refused(code=1)


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """Return a run's folder with a checkpoint in it."""
    folder = tmp_path / "held"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    torch.save({"global_step": 3}, folder / "checkpoints/last.ckpt")
    return folder


def test_a_folder_that_holds_a_run_is_not_overwritten(run: Command, tiny: list[str], held: Path) -> None:
    before = {path: path.read_bytes() for path in held.rglob("*") if path.is_file()}
    message = run(*tiny, f"output={held}").refused()
    assert f"{held} already holds a run" in message
    assert "resume=auto" in message
    assert {path: path.read_bytes() for path in held.rglob("*") if path.is_file()} == before


def test_a_folder_of_other_things_is_not_used(run: Command, tiny: list[str], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    assert "holds no run of transkd" in run(*tiny, "output=photos").refused()


@pytest.mark.parametrize("output", ["{tmp}/file", "{tmp}/file/run", "/proc/run"])
def test_an_output_that_cannot_be_written_is_told_before_training(
    run: Command, tiny: list[str], tmp_path: Path, output: str
) -> None:
    (tmp_path / "file").touch()
    outcome = run(*tiny, f"output={output.format(tmp=tmp_path)}")
    assert output.format(tmp=tmp_path) in outcome.refused()
    assert "Segmenters" not in outcome.out


def damaged(content: bytes, how: str) -> bytes:
    if how == "bit-flipped":
        position = len(content) // 2
        return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
    return {"empty": b"", "truncated": content[: len(content) // 2], "not a checkpoint": b"hello"}[how]


@pytest.mark.parametrize("how", ["empty", "truncated", "bit-flipped", "not a checkpoint"])
def test_a_damaged_checkpoint_is_not_resumed(run: Command, tiny: list[str], held: Path, how: str) -> None:
    checkpoint = held / "checkpoints/last.ckpt"
    torch.save({"global_step": 3, "weights": torch.zeros(5000)}, checkpoint)
    checkpoint.write_bytes(damaged(checkpoint.read_bytes(), how))
    message = run(*tiny, f"output={held}", "resume=auto").refused(code=1)
    assert str(checkpoint) in message
    assert "resume=none in another folder" in message


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("open('sprung', 'w').close()",)


def test_a_malicious_checkpoint_runs_nothing(run: Command, tiny: list[str], held: Path, tmp_path: Path) -> None:
    torch.save({"global_step": 3, "trap": Trap()}, held / "checkpoints/last.ckpt")
    message = run(*tiny, f"output={held}", "resume=auto").refused(code=1)
    assert "is refused" in message
    assert not (tmp_path / "sprung").exists()


def test_the_trap_would_spring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    torch.save(Trap(), file)
    torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    assert (tmp_path / "sprung").exists()


def test_a_checkpoint_that_does_not_exist_is_said_so(run: Command, tiny: list[str]) -> None:
    assert "there is no checkpoint nowhere.ckpt" in run(*tiny, "resume=nowhere.ckpt").refused(code=1)


def test_a_run_trains_saves_and_says_where(run: Command, tiny: list[str], tmp_path: Path, teachers: Path) -> None:
    outcome = run(*tiny, "distillation=transkd_ea", "teacher=mit_b0", f"teacher.weights={teachers}/b0", "output=out")
    assert outcome.code == 0, outcome.err
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert 0 <= results["miou"] <= 1
    assert (tmp_path / "out/student/model.safetensors").is_file()
    assert "Segmenters" in outcome.out
    assert run(*tiny, "output=out").code == 2


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of one's own: six scenes of three classes, no more than images, masks and names."""
    rng = np.random.default_rng(0)
    root = tmp_path / "own"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(6):
        Image.fromarray(rng.integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(root / f"images/{i}.jpg")
        Image.fromarray(rng.integers(0, 3, (64, 96), dtype=np.uint8)).save(root / f"masks/{i}.png")
    (root / "classes.yaml").write_text("- road\n- car\n- sky\n")
    return root


def of_own(root: Path) -> list[str]:
    return ["data=folder", *tiny_run(root)]


def test_a_folder_of_ones_own_trains(run: Command, own: Path, tmp_path: Path) -> None:
    outcome = run(*of_own(own), "output=out")
    assert outcome.code == 0, outcome.err
    assert "5 training and 1 validation scenes, 3 classes" in outcome.out
    assert json.loads((tmp_path / "out/results.json").read_text())["per_class"].keys() == {"road", "car", "sky"}


def test_a_folder_without_class_names_says_how_to_write_them(run: Command, own: Path) -> None:
    (own / "classes.yaml").unlink()
    message = run(*of_own(own)).refused(code=1)
    assert "holds no classes.yaml" in message
    assert "Write ROOT/classes.yaml, a line a class" in message
    assert run(*of_own(own), "data.options.classes=[a,b,c]", "output=out").code == 0


def test_wrong_class_options_are_mistakes_of_the_config(run: Command, own: Path) -> None:
    outcome = run(*of_own(own), "data.options.classes=[a,a]", "seed=x")
    outcome.refused()
    assert len(outcome.lines) == 2
    assert any(line.startswith("data.options.classes: the name a occurs twice") for line in outcome.lines)
    assert "give 3 numbers" in run(*of_own(own), "objective.class_weights=[1,2]").refused()


def test_colours_of_no_class_name_file_and_colour(run: Command, own: Path) -> None:
    for mask in (own / "masks").iterdir():
        Image.new("RGB", (96, 64), (1, 2, 3)).save(mask)
    (own / "classes.yaml").write_text("road: [1, 2, 4]\ncar: [9, 9, 9]\nsky: [7, 7, 7]\n")
    message = run(*of_own(own)).refused(code=1)
    assert "[1, 2, 3] (6144 pixels, nearest is road [1, 2, 4])" in message
    assert "own/masks/" in message
