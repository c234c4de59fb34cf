"""Scores, costs and pictures of a segmenter."""

from transkd.evaluation.cost import (
    count_macs,
    count_parameters,
    latency_ms,
    segmenter_gmacs,
    without_computing,
)
from transkd.evaluation.pictures import colourise, scene_picture
from transkd.evaluation.protocol import Protocol, Resolution, classes_and_labels, match_resolution
from transkd.evaluation.scores import IGNORE_INDEX, Scores, score_meter

__all__ = [
    "IGNORE_INDEX",
    "Protocol",
    "Resolution",
    "Scores",
    "classes_and_labels",
    "colourise",
    "count_macs",
    "count_parameters",
    "latency_ms",
    "match_resolution",
    "scene_picture",
    "score_meter",
    "segmenter_gmacs",
    "without_computing",
]
