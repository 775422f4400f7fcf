"""The page of a comparison, and its figures as JSON and CSV."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from syrupy.assertion import SnapshotAssertion

import prose
from browser import scroll_width
from lungsight._text import signed
from lungsight.evaluation.compare import Comparison, compare
from lungsight.evaluation.formatting import withheld_because
from lungsight.reporting.comparison_files import write_comparison
from lungsight.statistics.bootstrap import Resampling


@pytest.fixture(scope="module")
def comparison(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """The tiny model and one that is more often right, on the same images."""
    better = tmp_path_factory.mktemp("comparison") / "better"
    better.mkdir()
    shutil.copy(report / "evidence.json", better)
    table = pd.read_csv(report / "predictions.csv", keep_default_na=False, dtype=str)
    known = table["fault"] == ""
    score = pd.to_numeric(table["probability_covid19"][known]) * 0.5 + 0.3 * (table["truth"][known] == "covid19")
    table.loc[known, "probability_covid19"] = score.astype(str)
    table.to_csv(better / "predictions.csv", index=False)
    return compare([report, better], resampling=Resampling(replicates=100))


@pytest.fixture(scope="module")
def folder(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    write_comparison(comparison, folder)
    return folder


def test_the_sentences_of_the_page(
    comparison: Comparison, folder: Path, masks: Mapping[str, str], snapshot: SnapshotAssertion
) -> None:
    folders = {str(model.folder): f"<folder {letter}>" for letter, model in comparison.models.items()}
    assert prose.of_page((folder / "index.html").read_text("utf-8"), {**folders, **masks}) == snapshot


def test_no_page_is_wider_than_a_phone(folder: Path) -> None:
    assert scroll_width(folder / "index.html", 390) <= 390


def test_page_json_and_csv_hold_the_same_differences(comparison: Comparison, folder: Path) -> None:
    stated = json.loads((folder / "compare.json").read_text())["tables"]["differences"]
    table = pd.read_csv(folder / "differences.csv")
    page = (folder / "index.html").read_text("utf-8")
    for difference, row, value in zip(comparison.differences, stated, table["value"], strict=True):
        estimate = difference.estimate
        assert (row["value"], row["low"], row["interval"]) == (estimate.value, estimate.low, estimate.interval)
        assert row["withheld"] == withheld_because(estimate)
        if estimate.value is not None:
            assert value == pytest.approx(estimate.value)
            assert signed(estimate.value, 3) in page
    assert {"bca", "delong"} <= {row["interval"] for row in stated}


def test_each_difference_on_the_page_names_the_kind_of_its_interval(folder: Path) -> None:
    page = (folder / "index.html").read_text("utf-8")
    assert ", BCa)" in page
    assert ", DeLong)" in page
