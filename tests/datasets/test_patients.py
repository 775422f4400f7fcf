from __future__ import annotations

import pandas as pd
import pytest

from lungsight.datasets.patients import known_patients


def read(keys: list[str]) -> tuple[list[str], str]:
    known, notice = known_patients(pd.Series(keys, dtype=object))
    return list(known), notice


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "unknown", "UNK", "N/A", "?", "-", "not available"])
def test_words_for_nobody_are_no_patient(word: str) -> None:
    known, notice = read(["a", word, word, "b"])
    assert known == ["a", "", "", "b"]
    assert notice == (
        f"patient is '{word}' in 2 of 4 rows (row 3, 4), which tells no patients apart: taken as unknown."
    )


@pytest.mark.parametrize("key", ["anonymous", "ANON", "anonymized", "Anonymous^Patient", "0", "00000"])
def test_stand_ins_for_many_are_no_patient_and_for_one_image_they_are(key: str) -> None:
    assert read(["a", key, "b"])[0] == ["a", key, "b"]
    assert read(["a", key, key, key, "b"])[0] == ["a", "", "", "", "b"]


def test_a_patient_whose_number_is_0_is_one_among_others() -> None:
    keys = [str(n) for n in range(5) for _ in range(3)]
    assert read(keys) == (keys, "")


def test_one_value_in_nearly_every_row_is_nobody() -> None:
    known, notice = read(["x7"] * 19 + ["y"])
    assert known == [""] * 19 + ["y"]
    assert "'x7' in 19 of 20 rows" in notice
    assert read(["x7"] * 8)[0] == ["x7"] * 8  # eight films of one patient


def test_keys_of_patients_stay_and_empty_ones_are_no_news() -> None:
    assert read(["a", "", "a", "b"]) == (["a", "", "a", "b"], "")
