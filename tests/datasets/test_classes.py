from __future__ import annotations

from lungsight.datasets.classes import labels_of


def test_the_star_takes_what_no_class_names_but_no_undiagnosed_image() -> None:
    classes = {"covid19": ("covid19",), "other": ("*",)}
    mapping = labels_of(classes, ["covid19", "tuberculosis", "no_pneumonia", "indeterminate", "unlabelled"])
    assert mapping == {"covid19": "covid19", "tuberculosis": "other", "no_pneumonia": "other"}
