"""``lungsight triage``, the real command on a real scan's findings."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lungsight import RESEARCH_ONLY
from lungsight.cli import app
from tiny_package import write_tiny


def lungsight(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def findings(tmp_path: Path) -> Path:
    model = write_tiny(tmp_path / "tiny")
    films = tmp_path / "films"
    films.mkdir()
    for name in ("a", "b", "c"):
        grey = np.random.default_rng(ord(name)).integers(20, 200, (90, 90), dtype=np.uint8)
        Image.fromarray(grey).save(films / f"{name}.png")
    (films / "torn.png").write_bytes(b"\x89PNG")
    long_ago = time.time() - 30 * 3600
    os.utime(films / "b.png", (long_ago, long_ago))
    assert lungsight("scan", films, "--model", model, "--json", tmp_path / "f.jsonl").exit_code == 1
    return tmp_path / "f.jsonl"


def test_a_scan_is_put_in_order_with_reasons(findings: Path, tmp_path: Path) -> None:
    result = lungsight("triage", findings, "--csv", tmp_path / "new" / "list.csv")
    assert result.exit_code == 0, result.output
    assert RESEARCH_ONLY in " ".join(result.stdout.split())
    with (tmp_path / "new" / "list.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert Path(rows[0]["file"]).name == "b.png"  # it waits longest
    assert "It has waited 30 hours" in rows[0]["why"]
    assert any("could not be read +35" in row["why"] for row in rows)
    assert all(row["why"].endswith("points.") for row in rows)


def test_another_rule_makes_another_order(findings: Path, tmp_path: Path) -> None:
    shown = lungsight("triage", "--show-rule")
    assert shown.exit_code == 0
    text = shown.stdout.replace("error = 35.0", "error = 900.0").replace(
        "longest_wait_hours = 24.0", "longest_wait_hours = 99"
    )
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    lungsight("triage", findings, "--rule", tmp_path / "mine.toml", "--csv", tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as table:
        assert Path(next(csv.DictReader(table))["file"]).name == "torn.png"


def test_waiting_can_be_counted_to_another_moment(findings: Path, tmp_path: Path) -> None:
    lungsight("triage", findings, "--at", "2030-01-01T00:00:00", "--csv", tmp_path / "list.csv")
    with (tmp_path / "list.csv").open(newline="") as table:
        assert all(row["overdue"] == "True" for row in csv.DictReader(table))


def test_bad_input_is_one_sentence(findings: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text(json.dumps({"file": 3}) + "\n")
    assert lungsight("triage").exit_code == 2
    for arguments in ((tmp_path / "none.jsonl",), (tmp_path / "bad.jsonl",), (findings, "--rule", findings)):
        result = lungsight("triage", *arguments)
        assert result.exit_code == 3
        assert len(result.stderr.strip().splitlines()) == 1


def test_the_list_goes_to_standard_output_and_never_over_what_is_read(findings: Path, tmp_path: Path) -> None:
    before = findings.read_bytes()
    shown = lungsight("triage", findings, "--csv", "-")
    assert next(csv.DictReader(shown.stdout.splitlines()))["rank"] == "1"
    for place in (findings, tmp_path):
        refused = lungsight("triage", findings, "--csv", place)
        assert refused.exit_code == 3
        assert len(refused.stderr.strip().splitlines()) == 1
    assert findings.read_bytes() == before
    assert not list(tmp_path.parent.glob("*.part"))


def test_a_class_that_no_finding_knows_is_refused(findings: Path) -> None:
    refused = lungsight("triage", findings, "--target", "plague")
    assert refused.exit_code == 3
    assert "plague: isn't a class of these findings" in refused.stderr


def test_a_last_line_without_its_end_is_ranked_and_a_cut_one_is_said(findings: Path, tmp_path: Path) -> None:
    whole = findings.read_text().rstrip("\n")
    (tmp_path / "open.jsonl").write_text(whole)
    (tmp_path / "cut.jsonl").write_text(whole[:-20])
    lungsight("triage", tmp_path / "open.jsonl", "--csv", tmp_path / "list.csv")
    assert len((tmp_path / "list.csv").read_text().splitlines()) == len(whole.splitlines()) + 1
    cut = lungsight("triage", tmp_path / "cut.jsonl")
    assert cut.exit_code == 0
    assert "its last line was cut short" in cut.stderr


def test_the_list_says_what_it_is_worth(findings: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in findings.read_text().splitlines()]
    ids = {"study_instance_uid": "1.2.3", "accession_number": "A7"}
    graded = [line | ids | {"model_grade": "confounded"} for line in lines[:2]]
    (tmp_path / "graded.jsonl").write_text("".join(json.dumps(line) + "\n" for line in graded))
    result = lungsight("triage", tmp_path / "graded.jsonl", "--csv", tmp_path / "list.csv")
    assert result.stdout.splitlines()[0] == f"Model {lines[0]['model']}: its evidence report says confounded."
    with (tmp_path / "list.csv").open(newline="") as table:
        (row,) = csv.DictReader(table)
    assert (row["study_instance_uid"], row["accession_number"], row["images"]) == ("1.2.3", "A7", "2")
    assert (row["model"], row["model_grade"]) == (lines[0]["model"], "confounded")
    assert "no evidence report" in lungsight("triage", findings).stdout.splitlines()[0]
