"""Scores, costs and pictures of a segmenter."""

from transkd.evaluation.class_match import ClassMatch, match_classes, outputs_for_classes, select_outputs
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
from transkd.evaluation.scoring import score_model

__all__ = [
    "IGNORE_INDEX",
    "ClassMatch",
    "Protocol",
    "Resolution",
    "Scores",
    "classes_and_labels",
    "colourise",
    "count_macs",
    "count_parameters",
    "latency_ms",
    "match_classes",
    "match_resolution",
    "outputs_for_classes",
    "scene_picture",
    "score_meter",
    "score_model",
    "segmenter_gmacs",
    "select_outputs",
    "without_computing",
]
