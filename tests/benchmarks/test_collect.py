"""The aims, held against reports whose figures are known."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evaluated import evidence
from lungsight.evaluation.evidence import Evidence
from lungsight.reporting.evidence_json import write_json

__all__ = ["evidence"]

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "collect" / "collect.py"


@pytest.fixture(scope="module")
def folder(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real report of three classes, with sources named as the aims name them."""
    folder = tmp_path_factory.mktemp("aims")
    write_json(evidence, folder / "evidence.json")
    text = (folder / "evidence.json").read_text("utf-8")
    for name, internal in (("released", "siim"), ("held-out", "siim"), ("sites", "ieee8023")):
        (folder / name).mkdir()
        renamed = text.replace('"phantom-north"', f'"{internal}"').replace('"phantom-south"', '"nih"')
        (folder / name / "evidence.json").write_text(renamed.replace('"west"', '"kermany"'), "utf-8")
    return folder


def collected(folder: Path, *held_out: str, released: str = "released") -> pd.DataFrame:
    out = folder / "aims.csv"
    named = [f"{name}={folder / name}" for name in (released, *held_out)]
    command = [sys.executable, str(SCRIPT), "aims", "--out", str(out), "--released", *named]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


def rows_of(folder: Path, name: str, section: str, table: str) -> list[Mapping[str, Any]]:
    stated = json.loads((folder / name / "evidence.json").read_text())
    return list(stated["sections"][section]["tables"][table])


def test_each_figure_is_the_reports_own_and_is_held_against_its_aim(folder: Path) -> None:
    table = collected(folder, "held-out")
    (mine,) = table[table["aim"].str.startswith("AUROC Typical against Negative within siim")].to_dict("records")
    wanted = {"source": "siim", "scope": "covid19", "against": "no_pneumonia", "metric": "auroc"}
    rows = rows_of(folder, "released", "discrimination", "one_against_one")
    (theirs,) = [row for row in rows if wanted.items() <= row.items()]
    assert mine["value"] == pytest.approx(theirs["value"], abs=1e-4)
    assert (mine["low"], mine["n"]) == (pytest.approx(theirs["low"], abs=1e-4), theirs["n"])
    assert mine["met"] == ("yes" if theirs["value"] >= 0.94 else "no")
    gaps = table[table["metric"] == "auroc_pooled_minus_within_source"]
    assert set(gaps["run"]) == {"released", "held-out"}
    for row in gaps.dropna(subset="value").to_dict("records"):
        assert row["met"] == ("yes" if row["value"] <= 0.05 else "no")
        assert row["met_with_whole_interval"] == ("yes" if row["high"] <= 0.05 else "no")


def test_what_is_asked_of_held_out_sources_is_no_matter_of_the_released_model(folder: Path) -> None:
    table = collected(folder, "held-out")
    normal = table[table["aim"] == "normal radiographs of a held-out source called normal"]
    assert set(normal["run"]) == {"held-out"}
    assert {"nih", "kermany"} <= set(normal["source"])
    table = collected(folder, released="sites")
    shared = table[table["aim"].str.contains("within the shared sites")]
    assert shared["of_what"].tolist() == ["against other_pneumonia; sites 2"]
    assert set(table.loc[table["wanted"] == "to compare with", "met"].isna()) == {True}


def test_an_aim_that_no_report_speaks_of_stays_in_the_table(folder: Path) -> None:
    table = collected(folder).set_index("aim")
    assert table.loc["AUROC Typical against Negative, siim held out whole", "withheld"] == "no report here gives it"
    assert (
        table.loc["AUROC COVID-19 against other pneumonia within ieee8023, other patients", "withheld"]
        == "no report here gives it"
    )
