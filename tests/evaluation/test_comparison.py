"""Results that do not compare, with every difference named."""

from __future__ import annotations

import copy

import pytest

from transkd.errors import ConfigError
from transkd.evaluation import Protocol, require_comparable, result_differences

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
    named = changed("protocol", "name", "mine") | {"miou": 0.5}
    assert result_differences(RESULT, named) == []
    require_comparable({"one": RESULT, "other": named})
    require_comparable({})


def test_other_classes_of_the_same_files_do_not_compare() -> None:
    merged = RESULT | {"per_class": {"road": 0.5, "sky or car": 0.9}}
    said = "classes: 3 and 2, of which not both have car, sky, sky or car"
    assert result_differences(RESULT, merged) == [said]
    with pytest.raises(ConfigError, match="same files and classes"):
        require_comparable({"one": RESULT, "other": merged})
    unscored = RESULT | {"miou": None, "per_class": {}}
    in_another_order = RESULT | {"per_class": {"car": 0.3, "sky": None, "road": 0.5}}
    assert result_differences(RESULT, unscored) == result_differences(RESULT, in_another_order) == []


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        ("protocol", "resolution", "logit", "resolution: label and logit"),
        ("protocol", "flip", True, "flip: False and True"),
        ("protocol", "options", {"conditions": ["fog"]}, "options.conditions: None and ['fog']"),
        ("data", "count", 100, "data.count: 101 and 100"),
        ("data", "sha256", "b" * 64, f"data.sha256: {'a' * 64} and {'b' * 64}"),
    ],
)
def test_each_difference_is_named(section: str, key: str, value: object, said: str) -> None:
    other = changed(section, key, value)
    assert result_differences(RESULT, other) == [said]
    with pytest.raises(ConfigError) as refused:
        require_comparable({"runs/a": RESULT, "runs/b": RESULT, "runs/c": other})
    assert f"runs/a and runs/c: {said}" in str(refused.value)
    assert "runs/b" not in str(refused.value)
