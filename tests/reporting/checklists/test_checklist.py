"""The checklists: which items a run answers, and with the values of that run."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from syrupy.assertion import SnapshotAssertion

import prose
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.sections.section import Section
from lungsight.reporting.checklists import data_items, model_items, result_items
from lungsight.reporting.checklists.checklist import CHECKLISTS, Checklist, FilledChecklist, Status

CLAIM, TRIPOD = (Checklist.read(file) for file in CHECKLISTS.values())
#: Sub-items of TRIPOD+AI: how many letters each number has.
TRIPOD_LETTERS = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
#: What no run can know of either checklist.
AUTHORS_CLAIM = {"2", "4", "5", "11", "15", "16", "17", "18", "34", "44"}
AUTHORS_TRIPOD = {"2", "3a", "3c", "5b", "6c", "8b", "8c", "17", "18a", "18b", "18c", "18d", "19", "27b", "27c"}


def answer(filled: FilledChecklist, number: str) -> str:
    return next(row.text for row in filled.rows if row.item.number == number)


def status(filled: FilledChecklist, number: str) -> Status:
    return next(row.status for row in filled.rows if row.item.number == number)


def test_claim_has_its_44_items() -> None:
    assert [item.number for item in CLAIM.items] == [str(n) for n in range(1, 45)]


def test_tripod_ai_has_its_27_items_and_their_parts() -> None:
    expected = [
        f"{n}{letter}"
        for n in range(1, 28)
        for letter in ("abcdefg"[: TRIPOD_LETTERS[n]] if n in TRIPOD_LETTERS else [""])
    ]
    assert [item.number for item in TRIPOD.items] == expected
    assert len(expected) == 52
    assert {item.applies for item in TRIPOD.items} == {"D", "E", "D;E"}


def test_every_answer_is_a_function_and_every_function_answers_an_item() -> None:
    named = {item.answer for checklist in (CLAIM, TRIPOD) for item in checklist.items if item.answer}
    modules = {"data": data_items, "model": model_items, "result": result_items}
    written = {
        f"{short}.{name}"
        for short, module in modules.items()
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }
    assert named == written
    assert CLAIM.doi
    assert TRIPOD.doi


@pytest.mark.parametrize(
    ("checklist", "authors"), [(CLAIM, AUTHORS_CLAIM), (TRIPOD, AUTHORS_TRIPOD)], ids=["claim", "tripod"]
)
def test_a_full_run_leaves_to_the_authors_what_no_run_knows(
    checklist: Checklist, authors: set[str], evidence: Evidence
) -> None:
    filled = checklist.filled(evidence)
    assert {row.item.number for row in filled.rows if row.status is Status.LEFT} == authors
    assert sum(filled.count(each) for each in Status) == len(filled.rows)
    for row in filled.rows:
        assert bool(row.source) is (row.status is not Status.LEFT)
        assert row.text.startswith("for the authors: ") is (row.status is Status.LEFT)
        assert (" For the authors: " in row.text) is (row.status is Status.IN_PART)
        assert not re.search(r"\bnan\b|\bNone\b(?!:|\.)|\{|\}", row.text), row.text


@pytest.mark.parametrize("checklist", [CLAIM, TRIPOD], ids=["claim", "tripod"])
def test_the_sentences_of_a_checklist(
    checklist: Checklist, evidence: Evidence, masks: Mapping[str, str], snapshot: SnapshotAssertion
) -> None:
    assert prose.of_text(checklist.filled(evidence).as_markdown(), masks) == snapshot


@pytest.mark.parametrize("checklist", [CLAIM, TRIPOD], ids=["claim", "tripod"])
def test_without_a_model_nothing_is_said_about_one(checklist: Checklist, bare: Evidence) -> None:
    filled = checklist.filled(bare)
    assert not [row.item.number for row in filled.rows if "package.json" in row.source]
    assert filled.count(Status.LEFT) > len(filled.rows) / 3


def test_values_are_those_of_the_run(evidence: Evidence) -> None:
    filled = CLAIM.filled(evidence)
    scored = evidence.testset.scored
    assert f"{len(scored):,} images of {len(np.unique(scored.patient)):,} patients" in answer(filled, "21")
    assert "1 of 121 images couldn't be analysed" in answer(filled, "12")
    assert "age 13, sex 13, view 0" in answer(filled, "12")
    assert answer(filled, "35").startswith("121 images came in. Left out: ")
    assert "scanning refuses it (1)." in answer(filled, "8")
    assert "32 × 32 pixels" in answer(filled, "9")
    assert "torch 2.14.1" in answer(filled, "23")
    assert "epoch of lowest validation loss" in answer(filled, "26")
    assert "100 times, seed 20200321" in answer(filled, "29")
    assert "BCa" in answer(filled, "29")
    (estimate,) = (
        row.estimate
        for row in evidence.discrimination.estimates["metrics"]
        if row.labels["source"] == "phantom-south"
        and (row.estimate.scope, row.estimate.name) == ("covid19", "sensitivity")
    )
    quoted = f"Sensitivity {estimate.value:.3f} ({estimate.low:.3f}–{estimate.high:.3f}, n = {estimate.n:,})"
    assert quoted in answer(filled, "37").split("phantom-south (external)")[1]


def test_missed_and_wrongly_predicted_are_counted(evidence: Evidence) -> None:
    images = evidence.testset.scored.table
    north = images[images["source"] == "phantom-north"]
    missed = ((north["truth"] == "covid19") & (north["prediction"] != "covid19")).sum()
    wrongly = ((north["truth"] != "covid19") & (north["prediction"] == "covid19")).sum()
    text = answer(CLAIM.filled(evidence), "39")
    assert f"phantom-north (internal): {missed} of 18 with COVID-19 missed, {wrongly} of 36 without it" in text


def test_an_external_test_that_was_not_done_is_said_not_to_be(evidence: Evidence) -> None:
    inside = evidence.testset.where((evidence.testset.table["kind"] == "internal").to_numpy())
    filled = CLAIM.filled(replace(evidence, testset=inside))
    assert answer(filled, "33") == "Not done in this run: no external image was tested."
    assert answer(filled, "32").startswith("Done")


def test_audits_that_were_not_done_fill_nothing(evidence: Evidence, bare: Evidence) -> None:
    filled = CLAIM.filled(replace(evidence, audits=bare.audits[:7]))
    assert status(filled, "30") is Status.LEFT
    assert status(filled, "31") is Status.IN_PART
    assert "this run didn't" in answer(filled, "31")


def test_a_withheld_figure_stays_withheld(evidence: Evidence) -> None:
    clause = answer(CLAIM.filled(evidence), "37").split("west (external): ")[1].split(";")[0]
    assert "AUROC withheld (no image of COVID-19 here)" in clause


def test_without_figures_their_items_are_left_to_the_authors(evidence: Evidence) -> None:
    changed = replace(evidence, discrimination=Section("discrimination", {}))
    assert status(CLAIM.filled(changed), "37") is Status.LEFT
    assert status(TRIPOD.filled(changed), "23b") is Status.LEFT


def test_a_sparse_description_invents_nothing(evidence: Evidence) -> None:
    description = evidence.subject.description
    assert description is not None
    sparse = description.model_copy(update={"recipe": {}, "software": {}})
    filled = CLAIM.filled(replace(evidence, subject=replace(evidence.subject, description=sparse)))
    for number in ("10", "25", "26"):
        assert status(filled, number) is Status.LEFT
    assert status(filled, "23") is Status.IN_PART


def test_a_bar_in_a_sentence_does_not_break_the_table(evidence: Evidence) -> None:
    text = CLAIM.filled(replace(evidence, command="lungsight | evaluate")).as_markdown()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}


def test_csv_and_markdown_are_the_same(report: Path) -> None:
    for stem in CHECKLISTS:
        rows = list(csv.DictReader((report / f"{stem}.csv").open(encoding="utf-8")))
        text = (report / f"{stem}.md").read_text("utf-8")
        assert text.count("\n| ") - 2 == len(rows)
        for row in rows:
            assert f"| {row['item']} |" in text
            assert row["answer"].replace("|", "\\|") in text
