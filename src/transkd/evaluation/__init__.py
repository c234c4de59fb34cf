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
        "class_match": ["ClassMatch", "match_classes", "outputs_for_classes", "select_outputs"],
        "comparison": ["protocol_differences", "require_comparable", "result_differences"],
        "cost": ["count_macs", "count_parameters", "latency_ms", "segmenter_gmacs", "without_computing"],
        "evaluate": ["score_model"],
        "pictures": ["colourise", "scene_picture"],
        "protocol": ["Protocol", "Resolution", "classes_and_labels", "match_resolution"],
        "scores": ["IGNORE_INDEX", "Scores", "score_meter"],
    },
)
