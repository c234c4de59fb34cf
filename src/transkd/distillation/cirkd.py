"""CIRKD: how alike pixels of different scenes are, in the batch and to remembered ones, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import require_weight, resample_to
from transkd.distillation.batch_norm import check_batch_norm
from transkd.distillation.criteria import softened_divergence
from transkd.distillation.labelled_loss import (
    IGNORED,
    LABELS,
    LabelledFeatureLoss,
    as_vectors,
    class_means,
    memberships,
)
from transkd.distillation.registry import register_loss
from transkd.models.taps import Taps
from transkd.options import NonNegativeFloat, Positive, PositiveFloat


class BalancedMemory(nn.Module):
    """The newest labelled vectors, as many of each class as fit if room is shared evenly.

    Of a memory of N vectors with K classes seen, a class has the newest N / K of its own, more where others have
    fewer: what a queue for each class would hold, without knowing in advance how many classes there are or
    setting room aside for those that never come. It is saved and loaded with the module that owns it.

    Args:
        size: number of vectors that it holds.
        channels: length of a vector.

    Attributes:
        vectors: (size, channels); those of a class from new to old.
        labels: (size,) uint8, 255 where there is no vector yet.
    """

    vectors: Tensor
    labels: Tensor

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, channels))
        self.register_buffer("labels", torch.full((size,), IGNORED, dtype=torch.uint8))

    def forward(self, vectors: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Take new vectors in, then draw at random, evenly over classes.

        In evaluation the draw is the same, but the memory is left as it was.

        Args:
            vectors: (M, channels) new ones, which are copied.
            labels: (M,) int64, 255 for those to leave out.
            count: how many to draw; all where there is room for fewer.

        Returns:
            What was drawn (K, channels), in float32, and for each whether it is a vector or a place still empty, (K,).
        """
        candidates = torch.cat((vectors.detach().to(self.vectors.dtype), self.vectors))
        classes = torch.cat((labels, self.labels.long()))
        kept = evenly(classes, len(self.labels))
        held, held_classes = candidates[kept], classes[kept]
        if self.training:
            self.vectors.copy_(held)
            self.labels.copy_(held_classes)
        order = torch.randperm(len(kept), device=kept.device)
        drawn = order[evenly(held_classes[order], count)]
        return held[drawn].float(), held_classes[drawn] != IGNORED


def evenly(labels: Tensor, count: int) -> Tensor:
    """Choose entries as evenly over labels as there are enough of each, the first ones of a label before later ones.

    Args:
        labels: (N,) int64, 255 for entries that come last, if at all.
        count: how many to choose; all where there are no more.

    Returns:
        Indices (min(count, N),), those of a label in the order that they had.
    """
    turn = torch.where(labels == IGNORED, len(labels), occurrence(labels))
    return turn.argsort(stable=True)[:count]


def occurrence(groups: Tensor) -> Tensor:
    """Return how many entries of its own group precede each entry of ``groups``, (N,) int64."""
    order = groups.argsort(stable=True)
    ordered = groups[order]
    before = torch.arange(len(groups), device=groups.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(before).scatter(0, order, before)


def random_pixels(vectors: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Choose random pixels of each class of each image.

    Args:
        vectors: (B, N, C).
        labels: (B, N) int64, 255 where ignored.
        count: how many of a class of an image; all where there are no more.

    Returns:
        All vectors (B * N, C), shuffled, and their labels (B * N,), 255 for those that were not chosen.
    """
    images = torch.arange(len(labels), device=labels.device)[:, None]
    order = torch.randperm(labels.numel(), device=labels.device)
    shuffled = labels.flatten()[order]
    chosen = occurrence((labels + LABELS * images).flatten()[order]) < count
    return vectors.flatten(0, 1)[order], torch.where(chosen, shuffled, IGNORED)


def regions(vectors: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of each class of each image.

    Args:
        vectors: (B, N, C).
        labels: (B, N) int64, 255 where ignored.

    Returns:
        Means (B * 256, C) at length 1, and their labels (B * 256,), 255 for those of no pixel.
    """
    members = memberships(labels)
    means = F.normalize(class_means(vectors, members), dim=2)
    every = torch.arange(LABELS, device=labels.device).expand(len(labels), LABELS)
    return means.flatten(0, 1), torch.where(members.any(1), every, IGNORED).flatten()


# The similarity, over the temperature, to a place of the memory that is still empty: its softmax is 0 and not NaN.
NOT_THERE = -1e9


@register_loss("cirkd")
class CrossImageRelations(LabelledFeatureLoss):
    """Cross-image relational distillation: batch_weight * L_batch + pixel_weight * L_pixel + region_weight * L_region.

    All three are KL(teacher || student) of softmax(similarities / temperature), similarities being cosines between
    features; summed over stages. L_batch: of each pixel to all pixels of one image, mean over pixels and over all
    pairs of images of the batch, an image with itself among them, so that a batch of one works. L_pixel and
    L_region: of each labelled pixel, for student and teacher alike, to the teacher's pixels and regions (the mean of
    a class in an image) that a memory holds, drawn anew in each step, evenly over classes; the student's features go
    through a projection to the teacher's width (1x1 convolution, batch norm, ReLU, 1x1 convolution). The teacher's
    features of a batch enter the memory before it is drawn from.

    Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022, section 3. Its
    pixel-wise part is ``kd`` at weight 1, to be set beside this. Weights and temperature are the published ones; the
    second temperature, 1 in all published runs, is left out. Where the reference departs from the paper:

    - The paper remembers random pixels of a class, which is taken; the reference's indices pick them in all the image.
    - The reference's memory starts as noise, and is compared with. Here it starts empty, and nothing is.
    - The reference compares the fused map of the decode head, which the taps do not hold, here the feature maps do. It
      average-pools them 2x2 for L_batch, which stride 32 does not need; see ``pooling`` where it is finer.
    - The reference has queues of a fixed size for each class (20000 pixels, 2000 for a SegFormer-B0; 2000 regions). A
      loss is not told the number of classes, so here the size is of all together, shared evenly between the classes
      that have come (:class:`~transkd.distillation.cirkd.BalancedMemory`). Less is held, for the memory
      is in every checkpoint: a run that is resumed goes on as if never stopped. By default 40 MiB at 512 channels;
      ``pixel_memory=38000`` and ``region_memory=38000`` are the reference's for a SegFormer and 19 classes, 150 MiB.
    - The reference gathers the batches of all processes. Here each compares its own; a step of distributed training
      starts from the memory of the first process, as it does from its batch norm statistics.

    In evaluation the value is the same, but the memory is left as it was.

    Args:
        student_channels: channels of the student's feature maps, a stage each, shallowest first.
        teacher_channels: the same of the teacher.
        stages: the student's compared stages, counted from 1; None for the deepest.
        batch_weight: weight of L_batch.
        pixel_weight: weight of L_pixel; at 0 there is no memory of pixels.
        region_weight: weight of L_region; at 0 there is no memory of regions.
        temperature: of the softmax over similarities.
        pooling: side of the patches that L_batch averages maps over first; its cost grows with (B H W / pooling²)².
        pixel_memory: number of pixels to remember, of each stage.
        region_memory: number of regions to remember, of each stage.
        pixel_contrast: number of remembered pixels to compare with in a step.
        region_contrast: number of remembered regions to compare with in a step.
        pixels_per_class: how many random pixels of a class an image puts into the memory at most.

    Raises:
        ConfigError: if all weights are 0, or a stage does not exist or pairs with none of the teacher's.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        *,
        stages: Sequence[int] | None = None,
        batch_weight: NonNegativeFloat = 1.0,
        pixel_weight: NonNegativeFloat = 0.1,
        region_weight: NonNegativeFloat = 0.1,
        temperature: PositiveFloat = 0.1,
        pooling: Positive = 1,
        pixel_memory: Positive = 16384,
        region_memory: Positive = 4096,
        pixel_contrast: Positive = 4096,
        region_contrast: Positive = 1024,
        pixels_per_class: Positive = 16,
    ) -> None:
        super().__init__(student_channels, teacher_channels, stages=stages)
        require_weight(self.name, batch_weight=batch_weight, pixel_weight=pixel_weight, region_weight=region_weight)
        self.batch_weight, self.pixel_weight, self.region_weight = batch_weight, pixel_weight, region_weight
        self.temperature, self.pooling, self.pixels_per_class = temperature, pooling, pixels_per_class
        self.pixel_contrast, self.region_contrast = pixel_contrast, region_contrast
        channels = self.paired_channels()
        widths = [taught for _, taught in channels]
        self.pixels = nn.ModuleList(BalancedMemory(pixel_memory, width) for width in widths if self.pixel_weight)
        self.regions = nn.ModuleList(BalancedMemory(region_memory, width) for width in widths if self.region_weight)
        self.projections = nn.ModuleList(_projection(*pair) for pair in channels if self.pixels or self.regions)

    def stage_losses(self, student: Taps, teacher: Taps, labels: Tensor | None = None) -> list[Tensor]:
        """Return the loss of each pair of stages, shallowest first, scalars in float32.

        Raises:
            ConfigError: if there are no labels, or a compared map is one position of one image in training: no batch
                norm.
        """
        if self.training and self.projections:
            for stage, _ in self.pairing():
                check_batch_norm(self.name, student, self.student_maps(student, "features")[stage])
        return super().stage_losses(student, teacher, labels)

    def labelled_loss(self, student: Tensor, teacher: Tensor, labels: Tensor, pair: int) -> Tensor:
        """Return the weighted sum of the three parts of a pair; see :class:`LabelledFeatureLoss`."""
        projected = self.projections[pair](student) if self.projections else None
        loss = student.new_zeros((), dtype=torch.float32)
        with torch.autocast(student.device.type, enabled=False):
            if self.batch_weight:
                own = resample_to(student.float(), teacher)
                loss = loss + self.batch_weight * self.batch_relations(own, teacher)
            if projected is None:
                return loss
            own = F.normalize(as_vectors(resample_to(projected.float(), teacher)), dim=2)
            taught = F.normalize(as_vectors(teacher), dim=2)
            classes = labels.flatten(1)
            if self.pixel_weight:
                new = random_pixels(taught, classes, self.pixels_per_class)
                held = self.pixels[pair](*new, self.pixel_contrast)
                loss = loss + self.pixel_weight * self.memory_relations(own, taught, classes, *held)
            if self.region_weight:
                held = self.regions[pair](*regions(taught, classes), self.region_contrast)
                loss = loss + self.region_weight * self.memory_relations(own, taught, classes, *held)
        return loss

    def batch_relations(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return L_batch of feature maps (B, C, H, W) and (B, D, H, W), a scalar in float32."""
        own, taught = (self._batch_similarities(maps) for maps in (student, teacher))
        return softened_divergence(own, taught, dim=3)

    def memory_relations(self, student: Tensor, teacher: Tensor, labels: Tensor, held: Tensor, there: Tensor) -> Tensor:
        """Return the divergence of the similarities to a memory's vectors, mean over labelled pixels.

        Args:
            student: (B, N, D) at length 1.
            teacher: (B, N, D) at length 1.
            labels: (B, N) int64, 255 where ignored.
            held: (K, D) what was drawn from the memory.
            there: (K,) whether something was, or the place is still empty.

        Returns:
            A scalar in float32; 0 where no pixel is labelled.
        """
        own, taught = (
            (vectors @ held.T / self.temperature).masked_fill(~there, NOT_THERE).log_softmax(2)
            for vectors in (student, teacher)
        )
        divergence = F.kl_div(own, taught, reduction="none", log_target=True).sum(2)
        labelled = labels != IGNORED
        return (divergence * labelled).sum() / labelled.sum().clamp_min(1)

    def _batch_similarities(self, maps: Tensor) -> Tensor:
        """Return similarities over the temperature (B, N, B, N) of the N pooled positions of each image."""
        side = [min(self.pooling, length) for length in maps.shape[2:]]
        vectors = F.normalize(as_vectors(F.avg_pool2d(maps.float(), side, ceil_mode=True)), dim=2)
        return torch.einsum("bnc,dmc->bndm", vectors, vectors) / self.temperature


def _projection(student_channels: int, teacher_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(student_channels, teacher_channels, 1, bias=False),
        nn.BatchNorm2d(teacher_channels),
        nn.ReLU(),
        nn.Conv2d(teacher_channels, teacher_channels, 1, bias=False),
    )
