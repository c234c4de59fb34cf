"""CIRKD: how alike pixels of different scenes are, in the batch and to remembered ones, against the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transkd.distillation.base import require_weight, resample_to
from transkd.distillation.criteria import softened_divergence
from transkd.distillation.feature_loss import (
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

# The similarity, over the temperature, to an empty slot of the memory: its softmax is 0 and not NaN.
EMPTY = -1e9


class BalancedMemory(nn.Module):
    """The newest labelled vectors, as many of each class as fit if room is shared evenly.

    Of a memory of N vectors with K classes seen, a class has the newest N / K of its own, more where others have
    fewer: what a queue for each class would hold, without knowing the number of classes in advance. It is saved and
    loaded with the module that owns it.

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
        """Store new vectors, in training only, then draw at random, evenly over classes.

        Args:
            vectors: (M, channels) new ones, which are copied.
            labels: (M,) int64, 255 for those to leave out.
            count: how many to draw; all where the memory holds fewer.

        Returns:
            What was drawn (K, channels), in float32, and for each whether it is a vector, not an empty slot, (K,).
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
    """Choose up to ``count`` entries as evenly over labels as there are enough of each.

    Args:
        labels: (N,) int64, 255 for entries that come last, if at all.
        count: how many to choose.

    Returns:
        Indices (min(count, N),); the first entries of a label come first.
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
    """Choose up to ``count`` random pixels of each class of each image.

    Args:
        vectors: (B, N, C).
        labels: (B, N) int64, 255 where ignored.
        count: how many.

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


@register_loss("cirkd")
class CrossImageRelations(LabelledFeatureLoss):
    """Cross-image relational distillation: batch_weight * L_batch + pixel_weight * L_pixel + region_weight * L_region.

    All three are KL(teacher || student) of softmax(similarities / temperature), similarities being cosines between
    features; summed over stages. L_batch: of each pixel to all pixels of one image, mean over pixels and over all
    pairs of images of the batch, an image with itself among them. L_pixel and L_region: of each labelled pixel to the
    teacher's pixels and regions (the mean of a class in an image) that a memory holds, drawn anew in each step, evenly
    over classes; the student's features go through a projection to the teacher's width. The teacher's features of a
    batch enter the memory before it is drawn from; in evaluation the memory stays as it was.

    Yang et al., "Cross-Image Relational Knowledge Distillation for Semantic Segmentation", CVPR 2022, section 3, with
    its weights and temperature; its pixel-wise part is ``kd`` at weight 1, to be set beside this. Where the reference
    code departs from the paper, or this from the reference:

    - Remembered are random pixels of a class, as in the paper; the reference's indices pick them in all the image.
    - The memory starts empty, and empty slots are not compared with; the reference's starts as noise.
    - Compared are feature maps, not the decode head's fused map. The reference average-pools it 2x2 for L_batch, which
      stride 32 does not need; see ``pooling`` where maps are finer.
    - The memory's size is that of all classes together, shared evenly; the reference has a queue for each class (20000
      pixels, 2000 for a SegFormer-B0; 2000 regions). Less is held, for the memory is in every checkpoint: 40 MiB at 512
      channels; ``pixel_memory=38000`` and ``region_memory=38000`` are the reference's for a SegFormer and 19 classes.
    - Each process compares its own batch; the reference gathers those of all processes. A step of distributed training
      starts from the memory of the first process, as it does from its batch norm statistics.

    Args:
        stages: as in :class:`FeatureLoss`, the deepest by default.
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
        self.pixels, self.regions, self.projections = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for own, taught in self.paired_channels():
            if pixel_weight:
                self.pixels.append(BalancedMemory(pixel_memory, taught))
            if region_weight:
                self.regions.append(BalancedMemory(region_memory, taught))
            if pixel_weight or region_weight:
                first, last = nn.Conv2d(own, taught, 1, bias=False), nn.Conv2d(taught, taught, 1, bias=False)
                self.projections.append(nn.Sequential(first, nn.BatchNorm2d(taught), nn.ReLU(), last))

    def forward(self, student: Taps, teacher: Taps, labels: Tensor | None = None) -> Tensor:
        """Return the sum over stages, a scalar in float32; see :class:`LabelledFeatureLoss`.

        Raises:
            ConfigError: if there are no labels, or a projected map is one position of one image in training.
        """
        if self.projections:
            for own, _ in self.paired_maps(student, teacher):
                self.check_batch_norm(student, own)
        return super().forward(student, teacher, labels)

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
        side = [min(self.pooling, length) for length in teacher.shape[2:]]
        similarities = []
        for maps in (student, teacher):
            vectors = F.normalize(as_vectors(F.avg_pool2d(maps.float(), side, ceil_mode=True)), dim=2)
            similarities.append(torch.einsum("bnc,dmc->bndm", vectors, vectors) / self.temperature)
        return softened_divergence(*similarities, dim=3)

    def memory_relations(self, student: Tensor, teacher: Tensor, labels: Tensor, held: Tensor, there: Tensor) -> Tensor:
        """Return the divergence of the similarities to a memory's vectors, mean over labelled pixels.

        Args:
            student: (B, N, D) at length 1.
            teacher: (B, N, D) at length 1.
            labels: (B, N) int64, 255 where ignored.
            held: (K, D) what was drawn from the memory.
            there: (K,) whether it is a vector, not an empty slot.

        Returns:
            A scalar in float32; 0 where no pixel is labelled.
        """
        own, taught = (
            (vectors @ held.T / self.temperature).masked_fill(~there, EMPTY).log_softmax(2)
            for vectors in (student, teacher)
        )
        divergence = F.kl_div(own, taught, reduction="none", log_target=True).sum(2)
        labelled = labels != IGNORED
        return (divergence * labelled).sum() / labelled.sum().clamp_min(1)
