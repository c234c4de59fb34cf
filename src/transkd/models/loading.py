"""Segmenters from wherever they were published, with one clear message where that fails."""

from __future__ import annotations

from pathlib import Path

from transkd.models.segmenter import Segmenter
from transkd.models.sources import find_segmenter


def load_segmenter(source: str | Path, *, backbone: str | None = None, num_classes: int | None = None) -> Segmenter:
    """Load a segmenter from any form that SegFormers and TransKD's networks are published in, in evaluation mode.

    What the source is shows in its content, never in its name; so do architecture and number of classes:

    - a folder or hub repository that ``save_pretrained`` wrote, or the folder of a training run, which holds one
      as ``student/`` or ``model/``;
    - a SegFormer of transformers, as a folder, a hub id (``nvidia/segformer-b2-finetuned-cityscapes-1024-1024``) or
      a file, safetensors or pickled, sharded or not, in the layout of any version of transformers; mean, standard
      deviation and label names come along, and so does the layer norms' epsilon, so that the logits are the same;
    - a ``.pth`` of NVlabs' SegFormer (mmsegmentation 0.x), with its class names;
    - a ``.pth`` that TransKD released: a student with or without adapters, or a teacher (SegFormer, PVTv2, LVT);
    - a checkpoint of a training run of ours, averaged weights where the run averaged.

    Pickles are read as tensors and plain values only: nothing in them is executed.

    Args:
        source: a folder, a file or the id of a repository of the Hugging Face hub.
        backbone: the backbone that it has to have; None takes any.
        num_classes: the number of classes that it has to have; None takes any.

    Raises:
        WeightsError: there are no such weights, they are damaged, or they are of another segmenter or of none; the
            message says what they seem to be.

    Example:
        >>> teacher = load_segmenter("nvidia/segformer-b2-finetuned-cityscapes-1024-1024")
        >>> student = load_segmenter("runs/camvid/student", backbone="mit_b0")
    """
    return find_segmenter(source).build(backbone, num_classes)
