"""Each message of docs/troubleshooting.md, produced: a project with something wrong in it, and a command that says so.

A function here is called with the project's folder as the current one, spoils what it is about, and returns what the
command said. Its name is the entry's in the page: ``<!-- error: wrong_root -->``.
"""

from __future__ import annotations

import errno
import io
import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import yaml
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console

import transkd
from transkd.cli.app import main
from transkd.cli.compose import composing
from transkd.training.run import train

CONF = Path(__file__).resolve().parents[2] / "conf"

CITYSCAPES = "data/cityscapes"
ROADS = "data/roads"
ERRORS: dict[str, Callable[[], str]] = {}


def error(produce: Callable[[], str]) -> Callable[[], str]:
    """Note a function that produces an error."""
    ERRORS[produce.__name__] = produce
    return produce


def said(*arguments: str, name: str = "transkd-train") -> str:
    """Call a command in this process; return what it wrote to standard error."""
    err = io.StringIO()
    with mock.patch.object(sys, "argv", [name, *arguments]), redirect_stderr(err), redirect_stdout(io.StringIO()):
        try:
            main(name)
        except SystemExit:
            pass
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
    return err.getvalue()


def refused(name: str, call: Callable[[], object]) -> str:
    """Call something that fails; return what a command of that name would say."""
    try:
        call()
    except transkd.TransKDError as failure:
        return f"{name}: {failure}\n"
    raise AssertionError("it went well")


def training(*arguments: str, data: tuple[str, ...] = (f"data.root={CITYSCAPES}",)) -> str:
    """Train for one step on the CPU, or fail to; without the command line, which is checked elsewhere."""
    with composing("transkd-train") as primary:
        config = compose(
            primary,
            [
                *data,
                *([] if any(text.startswith("data.size=") for text in arguments) else ["data.size=[32,64]"]),
                "data.workers=0",
                "data.batch_size=2",
                "data.val_batch_size=1",
                "augment=none",
                "pictures=0",
                "trainer.accelerator=cpu",
                "trainer.max_steps=1",
                "trainer.num_sanity_val_steps=0",
                *arguments,
            ],
        )
    values = OmegaConf.to_container(config, resolve=True)
    return refused("transkd-train", lambda: train(values, console=Console(file=io.StringIO())))


def on_roads(*arguments: str) -> str:
    """The same on a folder of one's own."""
    return training("data=folder", *arguments, data=(f"data.root={ROADS}",))


def labels(pattern: str = "*_labelIds.png") -> list[Path]:
    """Return the training labels."""
    return sorted(Path(CITYSCAPES, "gtFine/train").glob(f"*/{pattern}"))


def spoil_labels(change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change every training label."""
    for path in labels():
        Image.fromarray(change(np.array(Image.open(path)))).save(path)


def masks() -> list[Path]:
    """Return the masks of the folder of one's own."""
    return sorted(Path(ROADS, "masks").iterdir())


# ---------------------------------------------------------------------------------------------------- the command line


@error
def unknown_names() -> str:
    return said("+experiment=camvid_mitbo", "data.batchsize=8", "distillation=transkd_eaa", "optimizer.lr=fast")


@error
def sweep_without_m() -> str:
    return said("+experiment=camvid_mitb0", "seed=0,1,2")


@error
def endless() -> str:
    return said("trainer.max_epochs=-1", "trainer.max_time=00:08:00:00")


@error
def unknown_loss_option() -> str:
    return said("distillation=transkd_base", "+distillation.losses.csf.widht=64")


@error
def no_such_module() -> str:
    return training("imports=[my_losses]")


@error
def no_cuda() -> str:
    with (
        mock.patch("torch.cuda.is_available", return_value=False),
        mock.patch("torch.cuda.device_count", return_value=0),
        mock.patch("lightning.fabric.accelerators.cuda.num_cuda_devices", return_value=0),
        mock.patch("lightning.pytorch.accelerators.cuda.num_cuda_devices", return_value=0),
    ):
        return said("trainer=gpu", f"data.root={CITYSCAPES}")


# --------------------------------------------------------------------------------------------------------------- data


@error
def wrong_root() -> str:
    return said("+experiment=camvid_teacher", "data.root=data/camvd")


@error
def root_one_level_off() -> str:
    return training(data=("data.root=data",))


@error
def images_without_labels() -> str:
    labels()[0].unlink()
    return training()


@error
def ids_outside() -> str:
    def change(ids: np.ndarray) -> np.ndarray:
        ids[:2] = 77
        return ids

    spoil_labels(change)
    return training()


@error
def instance_ids() -> str:
    spoil_labels(lambda ids: np.full(ids.shape, 26001, np.uint16))
    return training()


@error
def colours_for_ids() -> str:
    spoil_labels(lambda ids: np.repeat(ids[:, :, None], 3, 2))
    return training()


@error
def other_size() -> str:
    spoil_labels(lambda ids: ids[::2, ::2].copy())
    return training()


@error
def truncated_image() -> str:
    for path in Path(CITYSCAPES, "leftImg8bit/train").glob("*/*.png"):
        path.write_bytes(path.read_bytes()[:400])
    return training()


@error
def pointer_of_lfs() -> str:
    for path in labels():
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    return training()


@error
def fewer_than_a_batch() -> str:
    return said(f"data.root={CITYSCAPES}", "data.workers=0", "trainer.accelerator=cpu")


@error
def no_test_labels() -> str:
    return training("data.val_split=test")


@error
def no_split() -> str:
    return training("data.train_split=trian")


@error
def no_classes() -> str:
    Path(ROADS, "classes.yaml").unlink()
    return on_roads()


@error
def masks_end_otherwise() -> str:
    for path in masks():
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    return on_roads()


@error
def mask_as_jpeg() -> str:
    for path in masks():
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    return on_roads()


@error
def colours_of_no_class() -> str:
    Path(ROADS, "classes.yaml").write_text("road: [128, 64, 128]\ncar: [0, 0, 142]\n")
    for path in masks():
        Image.new("RGB", (96, 64), (128, 64, 127)).save(path)
    return on_roads()


@error
def rgb_without_colours() -> str:
    for path in masks():
        Image.new("RGB", (96, 64), (128, 64, 128)).save(path)
    return on_roads()


@error
def black_and_white() -> str:
    Path(ROADS, "classes.yaml").write_text("- background\n- person\n")
    for path in masks():
        Image.fromarray(np.tile(np.array([[0, 255]], np.uint8), (64, 48))).save(path)
    return on_roads()


@error
def two_meanings() -> str:
    Path(ROADS, "classes.yaml").write_text("road: [0, 0, 0]\ncar: [1, 1, 1]\nsky: [2, 2, 2]\nignore: [[3, 3, 3]]\n")
    for path in masks():
        image = Image.fromarray(np.array(Image.open(path)) % 3).convert("P")
        image.putpalette([1, 1, 1, 0, 0, 0, 2, 2, 2])
        image.save(path)
    return on_roads()


@error
def batch_of_two_sizes() -> str:
    for place, path in enumerate(sorted(Path(ROADS, "images").iterdir())):
        Image.open(path).resize((96, 64 + 32 * place)).save(path)
        mask = masks()[place]
        Image.open(mask).resize((96, 64 + 32 * place), Image.Resampling.NEAREST).save(mask)
    return on_roads("data.size=native", "data.options.val_fraction=0.5")


@error
def no_trainaug() -> str:
    inside = Path("data/voc2012/VOCdevkit/VOC2012")
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (inside / folder).mkdir(parents=True)
    return said("+experiment=voc2012_teacher", "data.root=data/voc2012")


@error
def disk_too_small() -> str:
    with mock.patch("shutil.disk_usage", return_value=shutil._ntuple_diskusage(10**11, 10**11 - 10**9, 10**9)):
        return said("action=download", "data=voc2012", "data.root=data/voc2012", name="transkd-data")


@error
def root_of_other_things() -> str:
    return said("action=download", "data=voc2012", f"data.root={ROADS}", name="transkd-data")


# ------------------------------------------------------------------------------------------------------------- weights


@error
def no_teacher_weights() -> str:
    return training("distillation=transkd_ea")


@error
def weights_not_there() -> str:
    return training("distillation=transkd_ea", "teacher.weights=runs/teacher/modle")


@error
def hub_offline() -> str:
    with (
        mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", True),
        mock.patch("huggingface_hub.constants.HF_HUB_CACHE", str(Path("cache/huggingface/hub"))),
    ):
        return training("distillation=transkd_ea", "teacher=auto", "teacher.weights=nvidia/no-such-segformer")


@error
def other_architecture() -> str:
    return training("distillation=transkd_ea", "teacher=mit_b2", "teacher.weights=models/b0")


@error
def other_class_count() -> str:
    return training("student.weights=models/b0_11")


@error
def logits_of_other_classes() -> str:
    return training("distillation=kd", "teacher=auto", "teacher.weights=models/b0_11")


@error
def weights_cut_off() -> str:
    file = Path("models/b0/model.safetensors")
    file.write_bytes(file.read_bytes()[:5000])
    return training("student.weights=models/b0")


class Trap:
    """An object in a pickle."""


@error
def pickle_refused() -> str:
    torch.save({"state_dict": {"w": torch.zeros(1)}, "args": Trap()}, "teacher.pth")
    return training("distillation=transkd_ea", "teacher=auto", "teacher.weights=teacher.pth")


@error
def no_patch_embeddings() -> str:
    return said("distillation=transkd_ea", "teacher=timm", "teacher.backbone=repvit_m0_9", "teacher.weights=random")


@error
def plain_vision_transformer() -> str:
    return said("student=timm", "student.backbone=vit_tiny_patch16_224")


# ------------------------------------------------------------------------------------------------------------ training


def held_run(content: bytes | None = None, **config: object) -> None:
    """Leave the folder of a run that was begun."""
    folder = Path("runs/mine")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config or {"seed": 0}))
    torch.save({"global_step": 3, "weights": torch.zeros(2000)}, folder / "checkpoints/last.ckpt")
    if content is not None:
        (folder / "checkpoints/last.ckpt").write_bytes(content)


@error
def run_exists() -> str:
    held_run()
    return training("output=runs/mine")


@error
def folder_of_other_things() -> str:
    return training("output=data/roads")


@error
def folder_in_use() -> str:
    with mock.patch("fcntl.flock", side_effect=BlockingIOError(errno.EWOULDBLOCK, "taken")):
        return training("output=runs/mine")


@error
def folder_read_only() -> str:
    Path("runs").write_text("a file")
    return training("output=runs/mine")


@error
def other_recipe() -> str:
    held_run(seed=0, data={"batch_size": 4}, optimizer={"lr": 0.001})
    text = training("output=runs/mine", "resume=auto")
    kept = ("transkd-train:", "  data.batch_size:", "  optimizer.lr:", "Use the same")
    return "\n".join(line for line in text.splitlines() if line.startswith(kept)) + "\n"


@error
def checkpoint_cut_off() -> str:
    held_run(b"PK\x03\x04 cut off")
    return training("output=runs/mine", "resume=auto")


@error
def checkpoint_not_there() -> str:
    return training("output=runs/more", "resume=runs/mine/checkpoints/last.ckpt")


@error
def disk_full() -> str:
    torch_says = "[enforce fail at inline_container.cc:671] . unexpected pos 30915776 vs 30915668"  # on a full tmpfs
    with mock.patch("transkd.runs.checkpoints.torch.save", side_effect=RuntimeError(torch_says)):
        return training("output=runs/mine")


@error
def nan_loss() -> str:
    Path("broken.py").write_text(
        "import torch, transkd\n"
        "@transkd.register_loss('broken')\n"
        "class Broken(transkd.DistillationLoss):\n"
        "    def forward(self, student, teacher):\n"
        "        return student.features[-1].mean() * float('nan')\n"
    )
    return training(
        "imports=[broken]",
        "+distillation.losses.broken.weight=1.0",
        "teacher=mit_b0",
        "teacher.weights=models/b0",
        "output=runs/mine",
    )


@error
def batch_norm_of_one() -> str:
    student = transkd.create_segmenter("mit_b0", 19)
    loss = transkd.create_loss("csf", student=student, teacher=student)
    taps = student.taps(torch.zeros(1, 3, 32, 32))
    return refused("transkd-train", lambda: loss(taps, taps))


# -------------------------------------------------------------------------------------------------- scores and exports


@error
def setting_without_effect() -> str:
    return said(
        "model=models/b0",
        "data=cityscapes",
        f"data.root={CITYSCAPES}",
        "protocol=paper",
        "data.size=[32,64]",
        name="transkd-eval",
    )


@error
def scored_on_other_classes() -> str:
    return said(
        "model=models/b0_11",
        "data=cityscapes",
        f"data.root={CITYSCAPES}",
        "data.size=[32,64]",
        "workers=0",
        name="transkd-eval",
    )


@error
def device_not_there() -> str:
    with mock.patch("torch.empty", side_effect=AssertionError("Torch not compiled with CUDA enabled")):
        return said("model=models/b0", "data=cityscapes", f"data.root={CITYSCAPES}", "device=cuda", name="transkd-eval")


@error
def output_exists() -> str:
    Path("student.onnx").touch()
    return said("model=models/b0", "format=onnx", "output=student.onnx", name="transkd-export")


@error
def int8_without_images() -> str:
    return said("model=models/b0", "format=onnx", "output=student.onnx", "precision=int8", name="transkd-export")


@error
def no_onnx_packages() -> str:
    with mock.patch.dict(sys.modules, {"onnx": None}):
        return said("model=models/b0", "format=onnx", "output=student.onnx", name="transkd-export")


@error
def predictions_exist() -> str:
    Path("out").mkdir()
    for path in Path(ROADS, "images").iterdir():
        Path("out", f"{path.stem}.png").touch()
    return said("model=models/b0", f"input={ROADS}/images", "output=out", name="transkd-predict")
