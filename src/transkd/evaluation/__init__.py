"""Scores, costs and pictures of a segmenter."""

from typing import TYPE_CHECKING

from transkd.lazy import lazy_names

if TYPE_CHECKING:
    from transkd.evaluation.class_match import ClassMatch, match_classes, outputs_for_classes, select_outputs
    from transkd.evaluation.comparison import protocol_differences, require_comparable, result_differences
    from transkd.evaluation.cost import count_macs, count_parameters, latency_ms, segmenter_gmacs, without_computing
    from transkd.evaluation.evaluate import score_model
    from transkd.evaluation.pictures import colourise, scene_picture
    from transkd.evaluation.protocol import Protocol, Resolution, classes_and_labels, match_resolution
    from transkd.evaluation.scores import IGNORE_INDEX, Scores, score_meter

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
    "protocol_differences",
    "require_comparable",
    "result_differences",
    "scene_picture",
    "score_meter",
    "score_model",
    "segmenter_gmacs",
    "select_outputs",
    "without_computing",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ClassMatch": "transkd.evaluation.class_match",
        "IGNORE_INDEX": "transkd.evaluation.scores",
        "Protocol": "transkd.evaluation.protocol",
        "Resolution": "transkd.evaluation.protocol",
        "Scores": "transkd.evaluation.scores",
        "classes_and_labels": "transkd.evaluation.protocol",
        "colourise": "transkd.evaluation.pictures",
        "count_macs": "transkd.evaluation.cost",
        "count_parameters": "transkd.evaluation.cost",
        "latency_ms": "transkd.evaluation.cost",
        "match_classes": "transkd.evaluation.class_match",
        "match_resolution": "transkd.evaluation.protocol",
        "outputs_for_classes": "transkd.evaluation.class_match",
        "protocol_differences": "transkd.evaluation.comparison",
        "require_comparable": "transkd.evaluation.comparison",
        "result_differences": "transkd.evaluation.comparison",
        "scene_picture": "transkd.evaluation.pictures",
        "score_meter": "transkd.evaluation.scores",
        "score_model": "transkd.evaluation.evaluate",
        "segmenter_gmacs": "transkd.evaluation.cost",
        "select_outputs": "transkd.evaluation.class_match",
        "without_computing": "transkd.evaluation.cost",
    },
)
