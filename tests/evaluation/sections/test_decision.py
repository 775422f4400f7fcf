from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.sections.decision import CELLS, decision
from lungsight.evaluation.testset.testset import EXTERNAL, INTERNAL, TestSet
from lungsight.package import Decision
from lungsight.reporting.tables import section_tables
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=100)
CLASSES = ("covid19", "other")


def make_testset(
    effects: dict[str, float], patients: int = 100, positives: float = 0.5, validation: int = 0
) -> TestSet:
    """Patients of each source (the first internal), the first half with the disease, told apart as well as
    ``effects`` say; the first ``validation`` of each half of the first source stand in validation."""
    rng = np.random.default_rng(0)
    parts = []
    for i, (source, effect) in enumerate(effects.items()):
        sick = np.arange(patients) < positives * patients
        p = 1 / (1 + np.exp(-effect * (2 * sick - 1) - rng.normal(size=patients)))
        rank = np.where(sick, np.arange(patients), np.arange(patients) - sick.sum())
        split = np.where((i == 0) & (rank < validation), "validation", "test")
        columns = {"probability_covid19": p, "probability_other": 1 - p, "split": split, "fault": ""}
        table = pd.DataFrame(columns | {"truth": np.where(sick, *CLASSES), "source": source})
        parts.append(table.assign(kind=EXTERNAL if i else INTERNAL, patient=np.arange(patients).astype(str)))
    table = pd.concat(parts, ignore_index=True)
    return TestSet(table, CLASSES, "covid19", pd.DataFrame(index=table.index))


def value(table: pd.DataFrame, metric: str, **wanted: object) -> float:
    rows = table[table["metric"] == metric]
    for key, wish in wanted.items():
        rows = rows[rows[key] == wish]
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def test_figures_at_the_rules_thresholds() -> None:
    images = make_testset({"north": 1.5, "south": 0.5})
    section = decision(images, Decision(low=0.3, high=0.8, chosen_on=50, patients=50, positives=25), resampling=FEW)
    table = section_tables(section)["decision"]
    for _, source, here in images.by_source():
        p, sick = here.score, here.positive
        decided = (p < 0.3) | (p >= 0.8)
        wrong = np.where(sick, p < 0.3, p >= 0.8)
        at = {"source": source, "rule": "threshold"}
        assert value(table, "sensitivity", **at) == pytest.approx((p[sick] >= 0.3).mean())
        assert value(table, "specificity", **at) == pytest.approx((p[~sick] < 0.3).mean())
        assert value(table, "ppv", **at) == pytest.approx(sick[p >= 0.3].mean())
        assert value(table, "npv", **at) == pytest.approx((~sick[p < 0.3]).mean())
        band = {"source": source, "rule": "band"}
        assert value(table, "inconclusive", **band) == pytest.approx((~decided).mean())
        assert value(table, "error_of_decided", **band) == pytest.approx(wrong[decided].mean())
    assert section.withheld == ()
    assert section_tables(section)["decision_rule"].iloc[0][["low", "high", "images"]].tolist() == [0.3, 0.8, 50]
    assert section.sentences[0].startswith(
        "COVID-19 is called from a probability of 0.800 on, no sign of it below 0.300"
    )


@pytest.mark.parametrize("rule", [Decision(low=0.3, high=0.8), Decision(low=0.5, high=0.5), None])
def test_a_thousand_patients_are_a_thousand_at_every_prevalence(rule: Decision | None) -> None:
    images = make_testset({"north": 1.5}, positives=0.3)
    table = section_tables(decision(images, rule, prevalence=0.04, resampling=FEW))["per_1000"]
    assert set(table["prevalence_is"]) == {"of the sample", "named"}
    with_band = rule is not None and rule.can_be_inconclusive(2)
    assert set(table["metric"]) == {name for name, (_, verdict) in CELLS.items() if verdict or with_band}
    for _, part in table.groupby("prevalence"):
        assert part["value"].sum() == pytest.approx(1000)
        sick = part["metric"].isin([name for name, (of_target, _) in CELLS.items() if of_target])
        assert part.loc[sick, "value"].sum() == pytest.approx(1000 * part["prevalence"].iloc[0])
        assert (part["low"] <= part["value"]).all()
        assert (part["value"] <= part["high"]).all()


def test_thresholds_are_chosen_on_validation_rows_and_the_others_are_reported() -> None:
    images = make_testset({"north": 1.5, "south": 0.2}, patients=200, validation=60)
    section = decision(images, None, resampling=FEW)
    rule = section_tables(section)["decision_rule"].iloc[0]
    assert (rule["images"], rule["positives"]) == (120, 60)
    table = section_tables(section)["decision"]
    specificity = table[(table["metric"] == "specificity") & (table["source"] == "north")]
    assert specificity["n"].tolist() == [40]
    assert any(
        "south (external)" in s and "the aim of 0.95 for sensitivity isn't kept here" in s for s in section.sentences
    )


def test_without_validation_data_the_most_probable_class_decides_and_it_is_said() -> None:
    images = make_testset({"north": 1.5})
    section = decision(images, None, resampling=FEW)
    assert section.withheld[0].startswith("No threshold was chosen on validation data")
    assert section_tables(section)["decision_rule"].empty
    called = images.score > 0.5
    assert value(section_tables(section)["decision"], "sensitivity", rule="most probable class") == pytest.approx(
        called[images.positive].mean()
    )


def test_too_few_validation_positives_choose_nothing_and_say_why() -> None:
    section = decision(make_testset({"north": 1.5}, validation=10), None, resampling=FEW)
    assert section.withheld[0] == (
        "No threshold, since 10 validation patients of COVID-19 can't show a sensitivity of 0.95: the most probable "
        "class decides, and nothing is inconclusive."
    )


def test_a_source_without_the_disease_has_false_alarms_but_no_curve() -> None:
    section = decision(
        make_testset({"north": 1.0}, positives=0), Decision(low=0.3, high=0.8), prevalence=0.1, resampling=FEW
    )
    table = section_tables(section)["decision"].set_index("metric")
    assert np.isnan(table.loc["sensitivity", "value"])
    assert table.loc["sensitivity", "withheld"] == "no image of COVID-19 here"
    assert table.loc["specificity", "value"] > 0
    assert section_tables(section)["decision_curve"].empty
    assert "north: no image of COVID-19, so no decision curve." in section.withheld
    named = section_tables(section)["per_1000"].query("prevalence_is == 'named'").set_index("metric")
    assert np.isnan(named.loc["true_positives", "value"])
    assert named.loc["true_negatives", "value"] > 0
    assert named["value"].sum() == pytest.approx(900)


def test_the_curves_are_by_source_and_end_where_all_are_answered() -> None:
    images = make_testset({"north": 1.5, "south": 0.5})
    section = decision(images, Decision(low=0.3, high=0.8), prevalence=0.1, resampling=FEW)
    risks = section_tables(section)["risk_coverage"]
    for source, curve in risks.groupby("source"):
        here = next(j for _, name, j in images.by_source() if name == source)
        error = ((here.score > 0.5) != here.positive).mean()
        assert curve["risk"].iloc[-1] == pytest.approx(error)
    curves = section_tables(section)["decision_curve"]
    assert set(zip(curves["source"], curves["prevalence_is"], strict=True)) == {
        (source, origin) for source in ("north", "south") for origin in ("of the sample", "named")
    }
    assert any("acting on the model does more good" in sentence for sentence in section.sentences)


def test_no_images_give_empty_tables() -> None:
    images = make_testset({"north": 1.0})
    section = decision(images.where(np.zeros(len(images), bool)), Decision(low=0.3, high=0.8), resampling=FEW)
    assert all(table.empty for name, table in section_tables(section).items() if name != "decision_rule")


def test_a_package_without_thresholds_leaves_open_what_scanning_leaves_open() -> None:
    images = make_testset({"north": 1.5}, validation=60)
    section = decision(images, Decision(inconclusive_below=0.8), resampling=FEW)
    unsure = (images.score < 0.8) & (images.score > 0.2)
    assert value(section_tables(section)["decision"], "inconclusive") == pytest.approx(unsure.mean())
    per_1000 = section_tables(section)["per_1000"].groupby("metric")["value"].sum()
    open_ones = per_1000["inconclusive_positives"] + per_1000["inconclusive_negatives"]
    assert open_ones == pytest.approx(1000 * unsure.mean())
    said = section_tables(section)["verdicts"]
    said = said[said["metric"] == "verdict_inconclusive"]
    assert (said["value"] * said["n"]).sum() == pytest.approx(unsure.sum())
    assert section_tables(section)["decision_rule"].empty
    assert section.withheld == (
        "The package states no thresholds: the most probable class decides, unless its probability stays below 0.80: "
        "such images are inconclusive.",
    )


def test_another_target_keeps_the_packages_rule_for_what_scanning_says() -> None:
    images = make_testset({"north": 1.5})
    section = decision(images, Decision(low=0.1, high=0.9), stated_for="other", resampling=FEW)
    said = section_tables(section)["verdicts"].set_index(["truth", "metric"])["value"]
    of_other = 1 - images.score
    for truth in CLASSES:
        here = of_other[(images.table["truth"] == truth).to_numpy()]
        assert said[truth, "verdict_other"] == pytest.approx((here >= 0.9).mean())
        assert said[truth, "verdict_inconclusive"] == pytest.approx(((here >= 0.1) & (here < 0.9)).mean())
    assert set(section_tables(section)["decision"]["rule"]) == {"most probable class"}
