"""Results that do not compare, with every difference named, and what identifies a model."""

from __future__ import annotations

import copy

import pytest
import torch

from transkd.errors import ConfigError
from transkd.evaluation import Protocol, protocol_differences, require_comparable, result_differences
from transkd.evaluation.comparison import file_digest, module_digest
from transkd.models import create_segmenter

RESULT = {
    "protocol": {"name": "full", **Protocol("camvid", "val", [360, 480], "label", label_size="own").as_dict()},
    "data": {"count": 101, "sha256": "a" * 64},
    "miou": 0.4,
    "per_class": {"road": 0.5, "sky": None, "car": 0.3},
}


def changed(section: str, key: str, value: object) -> dict:
    other = copy.deepcopy(RESULT)
    other[section][key] = value
    return other


def test_results_of_one_protocol_on_the_same_files_compare() -> None:
    require_comparable({"one": RESULT, "other": changed("protocol", "name", "mine") | {"miou": 0.5}})
    require_comparable({})


def test_other_classes_of_the_same_files_do_not_compare() -> None:
    merged = RESULT | {"per_class": {"road": 0.5, "sky or car": 0.9}}
    line = "classes: 3 and 2, of which not both have car, sky, sky or car"
    assert result_differences(RESULT, merged) == [line]
    with pytest.raises(ConfigError, match="same files and classes"):
        require_comparable({"one": RESULT, "other": merged})
    unscored = RESULT | {"miou": None, "per_class": {}}
    in_another_order = RESULT | {"per_class": {"car": 0.3, "sky": None, "road": 0.5}}
    assert result_differences(RESULT, unscored) == result_differences(RESULT, in_another_order) == []


@pytest.mark.parametrize(
    ("section", "key", "value", "line"),
    [
        ("protocol", "resolution", "logit", "resolution: label and logit"),
        ("protocol", "flip", True, "flip: False and True"),
        ("protocol", "options", {"conditions": ["fog"]}, "options.conditions: None and ['fog']"),
        ("data", "count", 100, "data.count: 101 and 100"),
        ("data", "sha256", "b" * 64, f"data.sha256: {'a' * 64} and {'b' * 64}"),
    ],
)
def test_each_difference_is_named(section: str, key: str, value: object, line: str) -> None:
    other = changed(section, key, value)
    assert result_differences(RESULT, other) == [line]
    with pytest.raises(ConfigError) as refused:
        require_comparable({"runs/a": RESULT, "runs/b": RESULT, "runs/c": other})
    assert f"runs/a and runs/c: {line}" in str(refused.value)
    assert "runs/b" not in str(refused.value)


def test_a_digest_follows_all_that_predictions_depend_on_and_nothing_else(tmp_path) -> None:
    options = {"class_names": ["a", "b"], "mean": (0.1, 0.2, 0.3), "norm_eps": 1e-5}
    model = create_segmenter("mit_b0", 2, **options)
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert module_digest(again) == module_digest(model)
    for change in ({"class_names": ["b", "a"]}, {"std": (0.5, 0.5, 0.5)}, {"norm_eps": 1e-6}):
        other = create_segmenter("mit_b0", 2, **(options | change))
        other.load_state_dict(model.state_dict())
        assert module_digest(other) != module_digest(model), change
    regularised = create_segmenter("mit_b0", 2, **options, dropout=0.5, drop_path_rate=0.3)
    regularised.load_state_dict(model.state_dict())
    assert module_digest(regularised) == module_digest(model)
    with torch.no_grad():
        again.head.classifier.bias[0] += 1e-3
    assert module_digest(again) != module_digest(model)
    (tmp_path / "empty").touch()
    assert file_digest(tmp_path / "empty").startswith("e3b0c44298fc1c14")


def test_what_an_older_protocol_lacks_is_its_default_and_groups_are_no_difference() -> None:
    one = Protocol("folder", "val", 64, "label", options={"group": "weather", "masks_hold": "ids"}).as_dict()
    other = Protocol("folder", "val", 64, "label", options={"group": None, "masks_hold": "colours"}).as_dict()
    assert protocol_differences(one, other) == ["options.masks_hold: ids and colours"]
    older = {key: value for key, value in one.items() if key not in ("crop", "stride")}
    assert protocol_differences(one, older) == []
