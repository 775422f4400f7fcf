"""The grades: which evidence earns which, and what can't buy one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.grade import ENOUGH_PATIENTS, Grade, GradeStatement, decide
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, KIND, UNSTATED, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import FAULT, TRUTH

FEW = Resampling(replicates=200)
RULE = "a shortcut, where it is called so"
CLEAR = [
    Audit(name, "?", AuditResult.NOT_FOUND, "Nothing is left.", rule=RULE)
    for name in ("lungs hidden", "only the border", "header only")
]


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


def verdict(*sources: pd.DataFrame, audits: Sequence[Audit] = CLEAR) -> GradeStatement:
    table = pd.concat(sources, ignore_index=True)
    return decide(TestSet(table, ("covid19", "other"), "covid19", pd.DataFrame(index=table.index)), audits, FEW)


def test_chance_at_home_is_no_evidence() -> None:
    assert verdict(source("home", INTERNAL, 0.0)).grade is Grade.NO_EVIDENCE


def test_a_good_score_at_home_alone_is_internal_only() -> None:
    found = verdict(source("home", INTERNAL, 2.0))
    assert found.grade is Grade.INTERNAL_ONLY
    assert any("No source that it never saw" in reason.sentence for reason in found.reasons)


def test_holding_elsewhere_is_counted_by_sources() -> None:
    home, one, two = source("home", INTERNAL, 2.0), source("one", EXTERNAL, 2.0), source("two", EXTERNAL, 2.0)
    assert verdict(home, one).grade is Grade.HOLDS_AT_ONE
    assert verdict(home, one, two).grade is Grade.HOLDS_AT_SEVERAL


def test_a_source_where_it_fails_keeps_it_from_several() -> None:
    holding = [source(name, EXTERNAL, 2.0) for name in ("one", "two")]
    found = verdict(*holding, source("three", EXTERNAL, 0.0))
    assert found.grade is Grade.HOLDS_AT_ONE
    assert any("fails at three" in reason.sentence for reason in found.reasons)


@pytest.mark.parametrize("missing", ["lungs hidden", "header only"])
def test_several_needs_the_audits_to_have_been_asked(missing: str) -> None:
    holding = [source(name, EXTERNAL, 2.0) for name in ("one", "two")]
    asked = [a for a in CLEAR if a.name == "header only"] if missing == "lungs hidden" else CLEAR[:2]
    assert verdict(*holding, audits=[*asked, not_done(missing, "?", "No masks.")]).grade is Grade.HOLDS_AT_ONE


@given(st.sampled_from(["lungs hidden", "only the border", "header only", "irrelevant changes"]))
@settings(deadline=None, max_examples=4)
def test_any_audit_that_calls_outranks_every_score(name: str) -> None:
    called = [*CLEAR, Audit(name, "?", AuditResult.FOUND, "All is left.", rule=RULE)]
    found = verdict(*(source(s, EXTERNAL, 3.0) for s in ("one", "two", "three")), audits=called)
    assert found.grade is Grade.CONFOUNDED
    assert next(r for r in found.reasons if r.met and r.rule.startswith(name)).sentence == "All is left."


def test_a_score_that_is_all_telling_the_sources_apart_is_confounded() -> None:
    sick, well = (
        source("sick", INTERNAL, 0.2, share=0.9, patients=400),
        source("well", INTERNAL, 0.2, share=0.1, patients=400),
    )
    apart = sick.assign(probability_covid19=0.5 + sick["probability_covid19"] / 2)
    apart["probability_other"] = 1 - apart["probability_covid19"]
    found = verdict(apart, well.assign(probability_covid19=well["probability_covid19"] / 2))
    assert found.grade is Grade.CONFOUNDED
    assert next(r for r in found.reasons if r.met).rule.startswith("source:")


def test_a_gap_between_sources_is_no_fault_where_the_model_holds_within_them() -> None:
    one, two = source("one", EXTERNAL, 2.5, share=0.8), source("two", EXTERNAL, 2.5, share=0.2)
    apart = one.assign(probability_covid19=0.5 + one["probability_covid19"] / 2)
    assert (
        verdict(apart, two.assign(probability_covid19=two["probability_covid19"] / 2)).grade is Grade.HOLDS_AT_SEVERAL
    )


@pytest.mark.parametrize("kind", [INTERNAL, EXTERNAL, UNSTATED])
def test_too_few_patients_count_for_nothing(kind: str) -> None:
    few = source("few", kind, 5.0, patients=2 * ENOUGH_PATIENTS - 2)
    assert verdict(few).grade is Grade.NO_EVIDENCE


def test_where_nobody_says_what_it_was_trained_on_nothing_holds_elsewhere() -> None:
    found = verdict(*(source(s, UNSTATED, 2.0) for s in ("one", "two")))
    assert found.grade is Grade.INTERNAL_ONLY
    assert any("not stated whether it was trained on" in reason.sentence for reason in found.reasons)


@pytest.mark.parametrize(("kind", "parted_by"), [(INTERNAL, 2.0), (EXTERNAL, 2.0), (EXTERNAL, 0.9), (INTERNAL, 0.1)])
def test_more_images_of_the_same_patients_buy_nothing(kind: str, parted_by: float) -> None:
    """Each image ten times over: the grade, and every reason's figure but its number of images, stay."""
    once, often = (verdict(source("a", kind, parted_by, images=n)) for n in (1, 10))
    assert often.grade is once.grade
    assert [r.met for r in often.reasons] == [r.met for r in once.reasons]


@pytest.mark.parametrize("patients", [100, 400, 1600])
def test_more_patients_of_home_never_lift_it_above_internal_only(patients: int) -> None:
    assert verdict(source("home", INTERNAL, 3.0, patients=patients)).grade is Grade.INTERNAL_ONLY
