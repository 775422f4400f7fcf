from __future__ import annotations

import pytest

from lungsight.datasets.label_mapping import ambiguous_labels, classes_of, denied_by, labels_of
from lungsight.errors import ManifestError


def test_the_star_takes_what_no_class_names_but_no_undiagnosed_image() -> None:
    classes = {"covid19": ("covid19",), "other": ("*",)}
    mapping = labels_of(classes, ["covid19", "tuberculosis", "no_pneumonia", "indeterminate", "unlabelled"])
    assert mapping == {"covid19": "covid19", "tuberculosis": "other", "no_pneumonia": "other"}


BINARY = {"covid19": ("covid19",), "other": ("*",)}
TRIPLE = {"covid19": ("covid19",), "other_pneumonia": ("other_pneumonia",), "no_pneumonia": ("no_pneumonia",)}


@pytest.mark.parametrize("label", ["COVID-19", "Covid 19", "covid_19", "CÓVID19"])
def test_case_punctuation_and_accents_tell_no_labels_apart(label: str) -> None:
    assert labels_of(BINARY, [label]) == {label: "covid19"}


def test_a_class_holds_what_is_named_as_itself() -> None:
    classes = {"covid19": ("pcr positive",), "other": ("*",)}
    found = labels_of(classes, ["covid19", "PCR-positive", "PCR negative", "tuberculosis"])
    assert found == {
        "covid19": "covid19",
        "PCR-positive": "covid19",
        "PCR negative": "other",
        "tuberculosis": "other",
    }


@pytest.mark.parametrize(
    "label",
    [
        *(
            "covid",
            "covid pneumonia",
            "C0VID-19",
            "covld19",
            "Сovid-19",
            "covdi19",
            "SARS-CoV-2",
            "2019-nCoV",
            "corona",
        ),
        *(
            "non-COVID",
            "COVID-19 negative",
            "suspected covid",
            "新冠肺炎",
            "U07.1",
            "positive",
            "PCR+",
            "1",
            "yes",
            "cov",
        ),
    ],
)
def test_what_may_mean_the_target_is_for_a_person_to_say(label: str) -> None:
    for classes in (BINARY, TRIPLE):
        assert labels_of(classes, [label]) == {}
    assert ambiguous_labels(BINARY, [label], "covid19") == [label]


@pytest.mark.parametrize("label", ["normal", "healthy", "bacterial pneumonia", "no finding", "tb", "fracture"])
def test_other_words_are_another_diagnosis(label: str) -> None:
    assert labels_of(BINARY, [label]) == {label: "other"}
    assert ambiguous_labels(BINARY, [label], "covid19") == []


@pytest.mark.parametrize("label", ["", "?", "nan", "None", "N/A", "unknown", "-", "pending"])
def test_the_star_takes_no_missing_label(label: str) -> None:
    assert labels_of(BINARY, [label]) == {}


@pytest.mark.parametrize("label", ["healthy", "no finding", "negative", "0", "normal lungs"])
def test_a_star_for_the_sick_takes_nobody_who_is_well(label: str) -> None:
    assert labels_of({"normal": ("normal",), "sick": ("*",)}, [label]) == {}


def test_a_denial_is_of_the_other_of_two_classes_and_of_none_of_three() -> None:
    assert labels_of(BINARY, ["not_covid19", "Not COVID-19"]) == {"not_covid19": "other", "Not COVID-19": "other"}
    assert labels_of(TRIPLE, ["not_covid19"]) == {}
    assert labels_of({"covid19": ("covid19",), "flu": ("flu",)}, ["not_covid19"]) == {}
    assert denied_by("not-COVID 19", ["covid19"]) == "covid19"
    assert denied_by("covid19", ["covid19"]) is None


def test_classes_as_the_command_line_has_them() -> None:
    assert classes_of([]) is None
    options = ["covid19 = covid19", "other=tuberculosis, no_pneumonia", "other=*"]
    assert classes_of(options) == {"covid19": ["covid19"], "other": ["tuberculosis", "no_pneumonia", "*"]}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["covid19"], "names no class and label"),
        (["=x"], "names no class and label"),
        (["a= ,"], "names no class and label"),
        (["a=x", "b=x"], "gives x to b, and a has it already; give each label to one class."),
    ],
)
def test_classes_that_say_nothing_or_overlap_are_refused(options: list[str], sentence: str) -> None:
    with pytest.raises(ManifestError) as problem:
        classes_of(options)
    assert sentence in str(problem.value)
