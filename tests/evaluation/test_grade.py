"""Performance and shortcuts: which evidence earns which statement, and what can't buy one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.audits.registry import AUDITS
from lungsight.evaluation.audits.source_identity import NAME as OWN_SOURCE
from lungsight.evaluation.audits.source_identity import SAME_AS
from lungsight.evaluation.audits.within_view import WITHIN_VIEW as AUROC_WITHIN_VIEW
from lungsight.evaluation.grade import Grade, GradeStatement, Mark, Shortcut, decide
from lungsight.evaluation.performance import ENOUGH_PATIENTS, Performance
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, UNSTATED, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.outcomes import FAULT, TRUTH

FEW = Resampling(replicates=200)
RULE = "a shortcut, where it is called so"
LOOKING = [audit.name for audit in AUDITS if audit.calls_shortcut]
WORDS = {audit.name: audit.words for audit in AUDITS}


def audits(**calls: AuditResult) -> list[Audit]:
    """Every audit that looks for a shortcut: not found, but for those named (with _ for a space)."""
    results = dict.fromkeys(LOOKING, AuditResult.NOT_FOUND) | {k.replace("_", " "): v for k, v in calls.items()}
    return [
        not_done(name, "?", "No masks.", RULE)
        if call is AuditResult.NOT_DONE
        else Audit(name, "?", call, "All is left.", rule=RULE)
        for name, call in results.items()
    ]


def auroc_row(source: str, low: float, high: float, view: str = "all") -> Row:
    estimate = Estimate(AUROC_WITHIN_VIEW, "covid19", (low + high) / 2, low, high, 200, 100, 100, 200, "bca")
    return Row({"kind": EXTERNAL, "source": source, "view": view}, estimate)


def reported(name: str, *rows: Row) -> Audit:
    return Audit(name, "?", AuditResult.REPORTED, "!", rows=rows)


def source(
    name: str, kind: str, parted_by: float, patients: int = 200, share: float = 0.5, seed: int = 0, images: int = 1
) -> pd.DataFrame:
    """Images of one source; the score parts positives from negatives by so many standard deviations."""
    rng = np.random.default_rng([seed, *name.encode()])
    positive = np.arange(patients) < share * patients
    logit = rng.normal(size=patients) + parted_by * positive
    table = pd.DataFrame(
        {
            TRUTH: np.where(positive, "covid19", "other"),
            "source": name,
            "patient": [f"p{i}" for i in range(patients)],
            "probability_covid19": 1 / (1 + np.exp(-logit)),
            FAULT: "",
            KIND: kind,
        }
    )
    return pd.concat([table.assign(probability_other=1 - table["probability_covid19"])] * images, ignore_index=True)


def graded(*sources: pd.DataFrame, done: Sequence[Audit] | None = None) -> GradeStatement:
    table = pd.concat(sources, ignore_index=True)
    testset = TestSet(table, ("covid19", "other"), "covid19", pd.DataFrame(index=table.index))
    return decide(testset, audits() if done is None else done, FEW)


def run(name: str, kind: str, auroc: float, patients: int) -> pd.DataFrame:
    """As many patients with as without, whose scores have this AUROC as exactly as evenly spread ones can."""
    spread = norm.ppf((np.arange(patients // 2) + 0.5) / (patients // 2))
    logit = np.concatenate([spread + np.sqrt(2) * norm.ppf(auroc), spread])
    table = source(name, kind, 0.0, patients).assign(probability_covid19=1 / (1 + np.exp(-logit)))
    return table.assign(probability_other=1 - table["probability_covid19"])


def test_a_near_success_elsewhere_and_a_failure_there_are_told_apart() -> None:
    """As two real runs on 300 images of one hospital: 0.76 (0.70–0.81) and 0.61 (0.54–0.67)."""
    near, far = (graded(run("ours", EXTERNAL, auroc, 300)) for auroc in (0.75, 0.606))
    (one,), (other,) = near.sources, far.sources
    assert one.auroc.low == pytest.approx(0.70, abs=0.02)
    assert one.auroc.high == pytest.approx(0.80, abs=0.02)
    assert (one.performance, near.grade) == (Performance.FALLS_SHORT, Grade.NOT_GOOD_ENOUGH)
    assert (other.performance, far.grade) == (Performance.FAILS, Grade.FAILS_ELSEWHERE)
    assert one.figure in near.sentence
    assert "better than chance" in far.sentence


def test_a_failure_elsewhere_is_not_hidden_by_success_at_home() -> None:
    """As a real run of predictions: 0.95 at home, 0.57 (0.48–0.65) on 150 images elsewhere."""
    found = graded(run("home", INTERNAL, 0.95, 300), run("elsewhere", EXTERNAL, 0.57, 150))
    assert found.grade is Grade.FAILS_ELSEWHERE
    assert [each.performance for each in found.sources] == [Performance.FAILS, Performance.HOLDS]
    assert found.sources[0].figure in found.sentence
    assert "At home" not in found.sentence


@pytest.mark.parametrize(
    ("parted_by", "performance"), [(0.0, Performance.FAILS), (0.7, Performance.FALLS_SHORT), (2.5, Performance.HOLDS)]
)
def test_where_only_sources_of_the_training_were_tested_the_grade_says_so(
    parted_by: float, performance: Performance
) -> None:
    found = graded(source("home", INTERNAL, parted_by, patients=120))
    assert found.sources[0].performance is performance
    assert found.grade is (Grade.FAILS if performance is Performance.FAILS else Grade.INTERNAL_ONLY)


def test_holding_elsewhere_is_counted_by_sources() -> None:
    home, one, two = source("home", INTERNAL, 2.0), source("one", EXTERNAL, 2.0), source("two", EXTERNAL, 2.0)
    assert graded(home, one).grade is Grade.HOLDS_AT_ONE
    assert graded(home, one, two).grade is Grade.HOLDS_AT_SEVERAL
    others = [source(f"more {i}", EXTERNAL, 2.0) for i in range(3)]
    mixed = graded(home, one, *others, source("worst", EXTERNAL, 0.0))
    assert mixed.grade is Grade.MIXED
    assert "At worst it fails" in mixed.sentence  # of five, three are named, and this first


def test_the_grade_is_of_performance_alone_and_the_shortcut_beside_it() -> None:
    one, two = source("one", EXTERNAL, 2.0), source("two", EXTERNAL, 2.0)
    for name in LOOKING:
        found = graded(one, two, done=audits(**{name.replace(" ", "_"): AuditResult.FOUND}))
        assert (found.grade, found.shortcut) == (Grade.HOLDS_AT_SEVERAL, Shortcut.FOUND)
        assert WORDS[name] in found.shortcut_sentence
        assert next(r for r in found.reasons if r.name == WORDS[name]).mark is Mark.BAD


@pytest.mark.parametrize(
    ("calls", "flag"),
    [
        ({}, Shortcut.NOT_FOUND),
        ({"lungs hidden": AuditResult.NOT_DONE}, Shortcut.NOT_FOUND),  # only the border asks the same
        ({"lungs hidden": AuditResult.NOT_DONE, "only the border": AuditResult.NOT_DONE}, Shortcut.NOT_SHOWN),
        ({"header only": AuditResult.NOT_DONE}, Shortcut.NOT_SHOWN),
        ({"header only": AuditResult.NOT_SHOWN}, Shortcut.NOT_SHOWN),
        (dict.fromkeys(LOOKING, AuditResult.NOT_DONE), Shortcut.NOT_LOOKED_FOR),
        (dict.fromkeys(LOOKING, AuditResult.NOT_SHOWN) | {"header only": AuditResult.FOUND}, Shortcut.FOUND),
    ],
)
def test_not_found_takes_audits_that_could_have_found_it(calls: Mapping[str, AuditResult], flag: Shortcut) -> None:
    done = audits(**{name.replace(" ", "_"): call for name, call in calls.items()})
    assert graded(source("one", EXTERNAL, 2.0), done=done).shortcut is flag


def test_every_reason_is_marked_by_good_bad_or_open() -> None:
    done = audits(
        lungs_hidden=AuditResult.FOUND, only_the_border=AuditResult.NOT_DONE, header_only=AuditResult.NOT_SHOWN
    )
    few = source("few", EXTERNAL, 5.0, patients=20)
    found = graded(source("one", EXTERNAL, 2.5), source("two", EXTERNAL, 0.0), few, done=done)
    marks = {reason.name.split(",")[0]: reason.mark.symbol for reason in found.reasons}
    assert {name: marks[name] for name in ("one", "two", "few")} == {"one": "✓", "two": "✗", "few": "–"}
    expected = {"lungs hidden": "✗", "only the border": "–", "image statistics only": "–"}
    expected |= {"irrelevant changes": "✓"}
    assert expected.items() <= marks.items()


def test_a_score_that_is_all_telling_the_sources_apart_is_a_shortcut() -> None:
    sick, well = (
        source("sick", INTERNAL, 0.2, share=0.9, patients=400),
        source("well", INTERNAL, 0.2, share=0.1, patients=400),
    )
    apart = sick.assign(probability_covid19=0.5 + sick["probability_covid19"] / 2)
    apart["probability_other"] = 1 - apart["probability_covid19"]
    found = graded(apart, well.assign(probability_covid19=well["probability_covid19"] / 2))
    assert found.shortcut is Shortcut.FOUND
    assert [r.name for r in found.reasons if r.is_shortcut and r.mark is Mark.BAD] == ["sources told apart, internal"]


def test_a_gap_between_sources_is_no_fault_where_the_model_holds_within_them() -> None:
    one, two = source("one", EXTERNAL, 2.5, share=0.8), source("two", EXTERNAL, 2.5, share=0.2)
    apart = one.assign(probability_covid19=0.5 + one["probability_covid19"] / 2)
    found = graded(apart, two.assign(probability_covid19=two["probability_covid19"] / 2))
    assert (found.grade, found.shortcut) == (Grade.HOLDS_AT_SEVERAL, Shortcut.NOT_FOUND)


def test_data_that_cannot_answer_are_to_blame_and_not_the_model() -> None:
    """One hospital is mixed and too small, one holds only the disease, one only others."""
    sick, well = source("sick", EXTERNAL, 0.0, share=1.0), source("well", EXTERNAL, 0.0, share=0.0)
    found = graded(source("mixed", EXTERNAL, 5.0, patients=2 * ENOUGH_PATIENTS - 2), sick, well)
    assert found.grade is Grade.TOO_LITTLE_DATA
    assert found.sentence.startswith("This test can't answer the question: no source has 30 patients with")
    assert "mixed 29 and 29" in found.sentence
    assert {each.performance for each in found.sources} == {Performance.TOO_FEW}
    assert not [r for r in found.reasons if r.name.startswith("sources told apart")]


def test_too_few_patients_elsewhere_are_named_and_count_for_nothing() -> None:
    few = source("few", EXTERNAL, 5.0, patients=2 * ENOUGH_PATIENTS - 2)
    found = graded(source("home", INTERNAL, 2.0), few)
    assert found.grade is Grade.INTERNAL_ONLY
    assert "have enough patients" in found.sentence


def test_where_the_training_sources_are_not_stated_nothing_holds_elsewhere() -> None:
    found = graded(*(source(s, UNSTATED, 2.0) for s in ("one", "two")))
    assert found.grade is Grade.NOT_STATED
    assert "isn't stated" in found.sentence
    assert graded(source("one", UNSTATED, 0.0)).grade is Grade.FAILS


@pytest.mark.parametrize(
    ("low", "performance", "grade"),
    [(0.66, Performance.HOLDS, Grade.HOLDS_AT_ONE), (0.64, Performance.FALLS_SHORT, Grade.NOT_GOOD_ENOUGH)],
)
def test_holding_takes_the_same_within_a_view(low: float, performance: Performance, grade: Grade) -> None:
    views = reported("within view", auroc_row("one", low, 0.9), auroc_row("one", 0.3, 0.6, "AP"))
    found = graded(source("one", EXTERNAL, 2.5), done=[*audits(), views])
    assert (found.sources[0].performance, found.grade) == (performance, grade)
    assert "wasn't examined" not in found.sentence
    assert "same view wasn't examined" in graded(source("one", EXTERNAL, 2.5)).sentence


def test_a_source_is_what_its_images_show_and_not_what_it_is_called() -> None:
    home = source("home", INTERNAL, 2.5)
    renamed = [source(name, EXTERNAL, 2.5) for name in ("hospital A", "hospital B")]

    def same(**pairs: str) -> Audit:
        rows = [
            Row({"source": k.replace("_", " "), SAME_AS: v}, auroc_row(k, 0.4, 0.6).estimate)
            for k, v in pairs.items()
        ]
        return reported(OWN_SOURCE, *rows)

    assert graded(home, *renamed).grade is Grade.HOLDS_AT_SEVERAL
    twins = graded(home, *renamed, done=[*audits(), same(hospital_B="hospital A")])
    assert twins.grade is Grade.HOLDS_AT_ONE
    copies = graded(home, *renamed, done=[*audits(), same(hospital_A="home", hospital_B="home")])
    assert copies.grade is Grade.INTERNAL_ONLY
    assert "hospital A, images like those of home" in [reason.name for reason in copies.reasons]
    failing = graded(home, source("hospital A", EXTERNAL, 0.0), done=[*audits(), same(hospital_A="home")])
    assert failing.grade is Grade.FAILS_ELSEWHERE


@pytest.mark.parametrize(("kind", "parted_by"), [(INTERNAL, 2.0), (EXTERNAL, 2.0), (EXTERNAL, 0.9), (INTERNAL, 0.1)])
def test_more_images_of_the_same_patients_buy_nothing(kind: str, parted_by: float) -> None:
    """Each image ten times over: the grade and every mark stay."""
    once, often = (graded(source("a", kind, parted_by, images=n)) for n in (1, 10))
    assert often.grade is once.grade
    assert [r.mark for r in often.reasons] == [r.mark for r in once.reasons]


@pytest.mark.parametrize("patients", [100, 1600])
def test_more_patients_of_home_never_lift_it_above_internal_only(patients: int) -> None:
    assert graded(source("home", INTERNAL, 3.0, patients=patients)).grade is Grade.INTERNAL_ONLY
