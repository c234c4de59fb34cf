"""Folders that transformers opens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from transkd.errors import ExportError, first_line
from transkd.export.card import model_card
from transkd.export.graph import ExportGraph
from transkd.models import Segmenter, load_segmenter
from transkd.models.formats.transformers import to_transformers

FOLDER_FILES = {"config.json", "preprocessor_config.json", "model.safetensors", "README.md"}


def write_folder(segmenter: Segmenter, folder: Path, provenance: Mapping[str, Any], title: str) -> None:
    """Write ``config.json``, ``preprocessor_config.json``, ``model.safetensors`` and a model card to a new folder.

    Raises:
        ConfigError: the segmenter is no SegFormer.
    """
    size = provenance["run"].get("image_size")
    config, processor, state = to_transformers(segmenter, None if size is None else (size[0], size[1]))
    folder.mkdir(parents=True)
    for name, values in (("config.json", config), ("preprocessor_config.json", processor)):
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    model_card(provenance, title).save(folder / "README.md")


def open_folder(folder: Path) -> tuple[Callable[[Tensor], Tensor], str]:
    """Return what runs a written folder, and its name: transformers where it is installed, else transkd.

    The function takes uint8 images (B, 3, H, W) and returns logits (B, K, H, W).
    """
    if find_spec("transformers") is None:
        loaded = load_segmenter(folder)
        return ExportGraph(loaded, "uint8", "logits"), "transkd (transformers is not installed)"
    from transformers import SegformerForSemanticSegmentation, SegformerImageProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SegformerForSemanticSegmentation.from_pretrained(folder)
    model.train(False)
    processor = SegformerImageProcessor.from_pretrained(folder)

    @torch.no_grad()
    def run(images: Tensor) -> Tensor:
        inputs = processor(images=list(images.permute(0, 2, 3, 1).numpy()), do_resize=False, return_tensors="pt")
        logits = model(inputs["pixel_values"]).logits
        return functional.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)

    return run, "transformers"


def push_folder(folder: Path, repo_id: str) -> str:
    """Upload a folder to the hub, creating the repository where it does not exist; return its address.

    Raises:
        ExportError: no network, no token, or no right to write there.
    """
    api = HfApi()
    try:
        address = api.create_repo(repo_id, exist_ok=True)
        api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message="Export from transkd")
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise ExportError(
            f"push={repo_id}: the folder {folder} is written, but could not be uploaded ({first_line(error)}); log in "
            "by `hf auth login`, check the name, or upload the folder by hand"
        ) from error
    return str(address)
