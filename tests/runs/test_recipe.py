"""Which keys of the config matter for what, and how differences are listed."""

from __future__ import annotations

import pytest

from transkd.runs.recipe import Comparison, config_differences, differing_keys, flat, matters

RESUME, FINISHED, REPORT = Comparison
MATTERS = {
    "name": "",
    "output": "",
    "data.workers": "",
    "checkpoint.select": "finished report",
    "trainer.max_epochs": "finished report",
    "trainer.accelerator": "finished",
    "teacher.weights": "finished",
    "seed": "resume finished",
    "student.backbone": "resume finished",
    "student.weights": "resume finished report",
    "data.name": "resume finished report",
    "data.rooted": "resume finished report",
}


@pytest.mark.parametrize("key", MATTERS)
def test_what_a_key_matters_for(key: str) -> None:
    assert [one.name.lower() for one in Comparison if matters(key, one)] == MATTERS[key].split()


def test_differences_are_listed_with_both_values() -> None:
    saved = {"seed": 0, "name": "a", "optimizer": {"lr": 0.1}, "data": {"workers": 2}, "trainer": {"max_epochs": 2}}
    now = {"seed": 1, "name": "b", "optimizer": {"lr": 0.1}, "data": {"workers": 0}, "trainer": {"max_epochs": 3}}
    assert config_differences(saved, now, RESUME) == ["seed: it was 0, it is 1"]
    lines = ["seed: it was 0, it is 1", "trainer.max_epochs: it was 2, it is 3"]
    assert config_differences(saved, now, FINISHED) == lines
    assert config_differences({}, now, RESUME) == []


def test_a_config_means_the_same_where_it_says_less() -> None:
    """Older ones lack keys, and null means the head that a backbone usually has."""
    old = {"student": {"backbone": "mit_b0", "head": "segformer"}, "callbacks": {}}
    now = {"student": {"backbone": "mit_b0", "head": None, "pretrained": False}, "teacher": {"pretrained": False}}
    assert config_differences(old, now, FINISHED) == []
    now["student"] = {"backbone": "mit_b0", "head": "semantic_fpn", "pretrained": True}
    assert config_differences(old, now, RESUME) == [
        "student.head: it was segformer, it is semantic_fpn",
        "student.pretrained: it was False, it is True",
    ]


def test_what_one_run_did_not_record_is_no_difference() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": [1]}, "e": {}}) == {"a.b.c": 1, "a.d": [1]}
    assert differing_keys({"data.content": "x", "a": 1}, {"a": 1.0}) == []
    assert differing_keys({"data.content": "x", "b": 1}, {"data.content": "y"}) == ["b", "data.content"]
