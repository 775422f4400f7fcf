import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.sections.calibration import calibration
from lungsight.evaluation.sections.decision import decision
from lungsight.evaluation.sections.discrimination import discrimination
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.sections.subgroups import subgroups
from lungsight.reporting.checklists import claim, tripod_ai
from lungsight.reporting.checklists.checklist import Checklist, FilledChecklist, Status
from lungsight.reporting.checklists.write import filled_claim, filled_tripod_ai
from lungsight.statistics.bootstrap import Resampling

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
    numbers = [item.number for item in Checklist.read(claim.FILE).items]
    assert numbers == [str(n) for n in range(1, 45)]


def test_tripod_ai_has_its_27_items_and_their_parts() -> None:
    expected = [
        f"{n}{letter}"
        for n in range(1, 28)
        for letter in ("abcdefg"[: TRIPOD_LETTERS[n]] if n in TRIPOD_LETTERS else [""])
    ]
    items = Checklist.read(tripod_ai.FILE).items
    assert [item.number for item in items] == expected
    assert len(items) == 52
    assert {item.applies for item in items} == {"D", "E", "D;E"}


@pytest.mark.parametrize("module", [claim, tripod_ai])
def test_every_answer_belongs_to_an_item(module: object) -> None:
    checklist = Checklist.read(module.FILE)  # type: ignore[attr-defined]
    assert set(module.ANSWERS) <= {item.number for item in checklist.items}  # type: ignore[attr-defined]
    assert checklist.doi


@pytest.mark.parametrize(
    ("fill", "authors"), [(filled_claim, AUTHORS_CLAIM), (filled_tripod_ai, AUTHORS_TRIPOD)], ids=["claim", "tripod"]
)
def test_a_full_run_leaves_to_the_authors_what_no_run_knows(fill, authors: set[str], evidence: Evidence) -> None:  # type: ignore[no-untyped-def]
    filled = fill(evidence)
    assert {row.item.number for row in filled.rows if row.status is Status.LEFT} == authors
    assert sum(filled.count(each) for each in Status) == len(filled.rows)
    for row in filled.rows:
        assert bool(row.source) is (row.status is not Status.LEFT)
        assert row.text.startswith("for the authors: ") is (row.status is Status.LEFT)
        assert (" For the authors: " in row.text) is (row.status is Status.IN_PART)
        assert not re.search(r"\bnan\b|\bNone\b(?!:|\.)|\{|\}", row.text), row.text


@pytest.mark.parametrize("fill", [filled_claim, filled_tripod_ai])
def test_of_bare_predictions_nothing_is_said_of_a_model(fill, bare: Evidence) -> None:  # type: ignore[no-untyped-def]
    filled = fill(bare)
    for row in filled.rows:
        assert "package.json" not in row.source
        assert "tables/" not in row.source or row.item.number == "12d"
    assert filled.count(Status.LEFT) > len(filled.rows) / 2


def test_values_are_those_of_the_run(evidence: Evidence) -> None:
    filled = filled_claim(evidence)
    scored = evidence.testset.scored
    assert f"{len(scored):,} images" in answer(filled, "21")
    assert "1 of 80 images couldn't be judged" in answer(filled, "12")
    assert "age 40, sex 0, view 0" in answer(filled, "12")
    assert answer(filled, "35").startswith("87 images came in. Left out: ")
    assert "no X-ray (4); of a patient the model was trained or tuned on (3)." in answer(filled, "8")
    assert "the same file again" not in answer(filled, "8")
    assert "32 × 32 pixels" in answer(filled, "9")
    assert "torch 2.14.1" in answer(filled, "23")
    assert "epoch of lowest validation loss" in answer(filled, "26")
    assert "200 times, seed 20200321" in answer(filled, "29")
    assert "bca, exact" in answer(filled, "29")
    found = evidence.discrimination.tables["metrics"]
    row = found[
        (found["source"] == "east") & (found["scope"] == "covid19") & (found["metric"] == "sensitivity")
    ].iloc[0]
    quoted = f"Sensitivity {row['value']:.3f} ({row['low']:.3f}–{row['high']:.3f}, n = {row['n']:,})"
    assert quoted in answer(filled, "37").split("east (external)")[1]


def test_missed_and_wrongly_called_are_counted(evidence: Evidence) -> None:
    images = evidence.testset.scored.table
    north = images[images["source"] == "north"]
    missed = ((north["truth"] == "covid19") & (north["prediction"] != "covid19")).sum()
    wrongly = ((north["truth"] != "covid19") & (north["prediction"] == "covid19")).sum()
    said = answer(filled_claim(evidence), "39")
    assert f"north (internal): {missed} of 14 COVID-19 not called so, {wrongly} of 25 others called so" in said


def test_an_external_test_that_was_not_done_is_said_not_to_be(evidence: Evidence) -> None:
    inside = evidence.testset.where((evidence.testset.table["kind"] == "internal").to_numpy())
    filled = filled_claim(replace(evidence, testset=inside))
    assert answer(filled, "33") == "Not done in this run: no external image was tested."
    assert answer(filled, "32").startswith("Done")


def test_audits_that_were_not_done_fill_nothing(evidence: Evidence) -> None:
    skipped = tuple(audit for audit in evidence.audits if audit.name == "where it looks")
    filled = filled_claim(replace(evidence, audits=skipped))
    assert status(filled, "30") is Status.LEFT
    assert status(filled, "31") is Status.IN_PART
    assert "this run didn't" in answer(filled, "31")


def test_a_withheld_figure_stays_withheld(evidence: Evidence) -> None:
    metrics = evidence.discrimination.tables["metrics"].copy()
    here = (metrics["source"] == "east") & (metrics["metric"] == "auroc")
    metrics.loc[here, ["value", "low", "high"]] = np.nan
    metrics.loc[here, "withheld"] = "no image of covid19 here"
    changed = replace(evidence, discrimination=Section("discrimination", {"metrics": metrics}))
    assert "east (external): withheld" not in answer(filled_claim(changed), "37")
    assert "AUROC withheld (no image of covid19 here)" in answer(filled_claim(changed), "37")


@pytest.mark.parametrize("table", [pd.DataFrame(), pd.DataFrame({"metric": ["auroc"]})])
def test_a_table_of_another_shape_is_left_to_the_authors(evidence: Evidence, table: pd.DataFrame) -> None:
    changed = replace(evidence, discrimination=Section("discrimination", {"metrics": table}))
    assert status(filled_claim(changed), "37") is Status.LEFT


def test_the_sections_that_the_report_is_made_of_are_understood(evidence: Evidence) -> None:
    images, few = evidence.testset, Resampling(replicates=100)
    computed = replace(
        evidence,
        discrimination=discrimination(images, resampling=few),
        calibration=calibration(images, resampling=few),
        decision=decision(images, None, resampling=few),
        subgroups=subgroups(images, resampling=few),
    )
    for filled, numbers in (
        (filled_claim(computed), ("28", "37", "38")),
        (filled_tripod_ai(computed), ("23a", "23b")),
    ):
        for number in numbers:
            assert status(filled, number) is Status.FILLED
    said = answer(filled_claim(computed), "38")
    for heading in ("Predictive values: ", "At the thresholds: ", "Calibration: "):
        assert heading in said
    assert "all (internal)" not in said
    assert status(filled_tripod_ai(computed), "14") is Status.IN_PART


def test_a_sparse_description_invents_nothing(evidence: Evidence) -> None:
    description = evidence.subject.description
    assert description is not None
    sparse = description.model_copy(update={"recipe": {}, "software": {}})
    filled = filled_claim(replace(evidence, subject=replace(evidence.subject, description=sparse)))
    for number in ("10", "25", "26"):
        assert status(filled, number) is Status.LEFT
    assert status(filled, "23") is Status.IN_PART


def test_a_bar_in_a_sentence_does_not_break_the_table(evidence: Evidence) -> None:
    text = filled_claim(evidence).as_markdown()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
