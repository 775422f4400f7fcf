"""The evidence as a whole: one figure says the same wherever it stands."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.evaluate import Settings, evaluate_package
from lungsight.evaluation.evidence import Evidence
from lungsight.package import ModelPackage
from lungsight.reporting.tables import tables_of
from lungsight.reporting.write import write_report
from lungsight.statistics.bootstrap import Resampling

#: Names under which tables give the same figure of the same images.
SAME = {"auroc_model": "auroc", "auroc_pooled": "auroc", "auroc_within_source": "auroc", "auroc_within": "auroc"}
QUICK = Settings(resampling=Resampling(replicates=100), audit_images=280)


@pytest.fixture(scope="module")
def evidence(
    make_run: Callable[[Sequence[Any]], Path], film: type, tmp_path_factory: pytest.TempPathFactory
) -> Evidence:
    """A model that often errs, at one source it learned from and two that it didn't: one with both classes, one
    without the disease. Some patients have two images."""
    draw, wanted = np.random.default_rng(4), [film("covid19", 0.8, "t", split="train")]
    for source in ("north", "east", "west"):
        for i in range(24 if source != "west" else 10):
            label = "covid19" if i % 2 == 0 and source != "west" else "no_pneumonia"
            brightness = float(np.clip(draw.normal(0.57 if label == "covid19" else 0.45, 0.1), 0.15, 0.85))
            wanted += [film(label, brightness, f"{source}{i}", source, "test")] * (1 + (i % 5 == 0))
    run = make_run(wanted)
    settings = Settings(resampling=QUICK.resampling, audit_images=QUICK.audit_images, look_alikes=True)
    package, manifest = ModelPackage.open(run / "package"), Manifest.read(run / "manifest.csv")
    return evaluate_package(package, [manifest], tmp_path_factory.mktemp("out"), settings)


def figures(evidence: Evidence) -> Iterator[tuple[tuple[object, ...], tuple[object, ...], str]]:
    """Of every estimate about all images of one source: which figure it is, its interval, and its table."""
    sizes = evidence.testset.scored.table["source"].value_counts()
    for name, table in tables_of(evidence).items():
        if not {"source", "metric", "interval", "kind"} <= set(table.columns):
            continue
        for row in table.to_dict("records"):
            if row.get("picture", "as it is") != "as it is" or row.get("stress", "as it is") != "as it is":
                continue
            sources = [row["source"]] if row["source"] in sizes else ["north"] if row["kind"] == "internal" else []
            whole = sources and row["positives"] + row["negatives"] == sizes[sources[0]]
            if whole and pd.notna(row["value"]):
                metric = SAME.get(row["metric"], row["metric"])
                figure = (sources[0], row["scope"], metric, row["n"], round(row["value"], 9))
                yield figure, (round(row["low"], 9), round(row["high"], 9), row["interval"]), name


def test_one_figure_of_the_same_images_has_one_interval_in_every_table(evidence: Evidence) -> None:
    found: dict[tuple[object, ...], dict[tuple[object, ...], set[str]]] = {}
    for figure, interval, table in figures(evidence):
        if "delong" not in interval:  # stands beside the other and says so
            found.setdefault(figure, {}).setdefault(interval, set()).add(table)
    twice = {figure: by for figure, by in found.items() if len(set().union(*by.values())) > 1}
    of_north = {figure[2] for figure in twice if figure[0] == "north"}
    assert of_north >= {"auroc", "sensitivity", "specificity", "brier_score"}
    tables = set().union(*(t for by in found.values() for t in by.values()))
    assert tables >= {"metrics", "subgroups", "audit_only_the_border", "audit_stress"}
    assert {figure: by for figure, by in twice.items() if len(by) > 1} == {}


def test_every_interval_says_how_it_was_found(evidence: Evidence) -> None:
    kinds = {kind for table in tables_of(evidence).values() if "interval" in table for kind in table["interval"]}
    assert kinds <= {"bca", "percentile", "basic", "delong", "exact", ""}
    assert {"bca", "exact"} <= kinds


def test_the_stress_table_of_the_page_gives_each_strength_with_its_unit(evidence: Evidence, tmp_path: Path) -> None:
    page = html.unescape(write_report(evidence, tmp_path).read_text(encoding="utf-8"))
    heat = re.search(r'<table class="heat">.*?</table>', page, re.DOTALL)
    assert heat is not None
    cells = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", heat[0]))
    for level in (
        "75% of it left",
        "standard deviation 0.2 of white",
        "quality 20 of 95",
        "gamma 1/1.25",
        "10 degrees",
    ):
        assert level in cells
