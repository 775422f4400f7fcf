"""The stress audit, on a model whose every answer is known beforehand: it calls bright images COVID-19."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.audits.audit import Audit, AuditInput, AuditResult
from lungsight.evaluation.audits.robustness import SPEC
from lungsight.evaluation.testset.testset import TestSet
from lungsight.inference import Detector
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling

FEW = Resampling(replicates=200)


def stress(detector: Detector, testset: TestSet, images: int = 120, store: AnswerStore | None = None) -> Audit:
    """At most ``images`` are altered: a quarter of what audits may."""
    return SPEC.audit(AuditInput(testset, FEW, detector, 4 * images, store or AnswerStore.in_memory()))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Of the audit's table, what turns the verdict when: a row per kind, source and stress, with the strengths."""
    wanted = table[table["metric"].isin(("tenth_turns_at", "half_turned_by"))]
    index = ["kind", "source", "stress"]
    return wanted.pivot_table(index=index, columns="metric", values="value", dropna=False, sort=False).reset_index()


def some_films(film: type, source: str = "north", at: float = 0.0) -> list:
    """Ten of each class; the negatives just below the model's threshold, 0.5, the positives far above."""
    positives = [film("covid19", 0.8, f"p{i}", source) for i in range(10)]
    return positives + [film("other", 0.47 + at, f"n{i}", source) for i in range(10)]


def figure(audit: Audit, **labels: object) -> pd.Series:
    table = frame(audit.rows)
    for column, value in labels.items():
        table = table[table[column] == value]
    assert len(table) == 1, labels
    return table.iloc[0]


def test_what_must_turn_turns_and_nothing_else(tested: Callable, film: type) -> None:
    model = tested(some_films(film))
    audit = stress(model.detector, model.testset)
    assert audit.call is AuditResult.REPORTED
    assert audit.images == 20
    turned = {"kind": "external", "source": "north", "metric": "verdicts_turned"}
    assert figure(audit, **turned, stress="noise", strength=0.01)["value"] == 0
    assert figure(audit, **turned, stress="contrast", strength=75)["value"] == 0
    assert figure(audit, **turned, stress="inversion", strength=100)["value"] == 1
    assert figure(audit, **turned, stress="brighter", strength=1.25)["value"] == 0.5
    assert figure(audit, **turned, stress="darker", strength=1.25)["value"] == 0
    change = figure(audit, **{**turned, "metric": "probability_change"}, stress="darker", strength=1.25)
    assert change["high"] < 0
    assert change["low"] <= change["value"] <= change["high"]


def test_a_mark_that_makes_the_target_is_counted_among_the_negatives_only(tested: Callable, film: type) -> None:
    model = tested(some_films(film))
    audit = stress(model.detector, model.testset)
    wide = figure(audit, source="north", stress="white border", strength=5, metric="turned_into_target")
    assert (wide["value"], wide["n"], wide["positives"]) == (1, 10, 0)
    assert wide["interval"] == "exact"
    assert audit.effect is not None
    assert audit.effect.value == 1  # 2% of white border adds 0.04 of brightness
    assert "COVID-19" in audit.meaning
    assert set(frame(audit.rows)[frame(audit.rows)["metric"] == "turned_into_target"]["stress"]) == {
        "letter above",
        "letter below",
        "white border",
    }


def test_the_strength_that_turns_a_tenth_and_a_half(tested: Callable, film: type) -> None:
    model = tested(some_films(film))
    table = summary(frame(stress(model.detector, model.testset).rows)).set_index("stress")
    assert table.loc["brighter", "tenth_turns_at"] == 1.1
    assert table.loc["inversion", "half_turned_by"] == 25  # the positives' greys lie above 0.7, the others' do not
    assert np.isnan(table.loc["contrast", "tenth_turns_at"])
    assert np.isnan(table.loc["brighter", "half_turned_by"]) or table.loc["brighter", "half_turned_by"] >= 1.1


def test_internal_and_external_stay_apart_and_a_source_of_one_class_has_no_auroc(
    tested: Callable, film: type
) -> None:
    films = (
        some_films(film) + some_films(film, "south", -0.2) + [film("other", 0.3, f"q{i}", "east") for i in range(5)]
    )
    model = tested(films, ["north"])
    audit = stress(model.detector, model.testset)
    groups = set(frame(audit.rows)[["kind", "source"]].itertuples(index=False, name=None))
    assert groups == {("internal", "north"), ("external", "all"), ("external", "south"), ("external", "east")}
    aurocs = frame(audit.rows)[frame(audit.rows)["metric"] == "auroc"]
    assert set(aurocs["source"]) == {"north", "south"}
    assert figure(audit, source="south", stress="as it is")["value"] == 1
    assert audit.effect is not None
    assert audit.effect.n == 15


def test_what_was_answered_is_not_asked_again(
    tested: Callable, film: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tested(some_films(film))
    asked: list[int] = []
    logits = Detector.logits
    monkeypatch.setattr(Detector, "logits", lambda self, pixels: asked.append(len(pixels)) or logits(self, pixels))
    with AnswerStore.open(tmp_path / "a.sqlite") as store:
        first = stress(model.detector, model.testset, store=store)
        assert sum(asked) == 20 * len(SPEC.perturbations.alterations)
        store.database.execute("DELETE FROM answers WHERE key LIKE '%stress: noise 0.1%'")
        asked.clear()
        second = stress(model.detector, model.testset, store=store)
    assert sum(asked) == 20
    pd.testing.assert_frame_equal(frame(first.rows), frame(second.rows))


def test_only_some_images_are_altered(tested: Callable, film: type) -> None:
    model = tested(some_films(film))
    audit = stress(model.detector, model.testset, images=6)
    assert audit.images == 6
    assert figure(audit, stress="noise", strength=0.01, metric="verdicts_turned")["positives"] == 3


def test_no_image_and_no_file_are_named(tested: Callable, film: type) -> None:
    model = tested(some_films(film))
    nothing = model.testset.where(np.zeros(20, dtype=bool))
    assert stress(model.detector, nothing).call is AuditResult.NOT_DONE
    for path in model.testset.table["path"]:
        Path(path).unlink()
    gone = stress(model.detector, model.testset)
    assert gone.call is AuditResult.NOT_DONE
    assert "read" in gone.meaning


def test_without_negatives_the_marks_have_no_figure(tested: Callable, film: type) -> None:
    model = tested([film("covid19", 0.8, f"p{i}") for i in range(4)])
    audit = stress(model.detector, model.testset)
    assert audit.effect is not None
    assert audit.effect.value is None
    assert audit.effect.withheld
