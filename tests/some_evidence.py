"""Evidence made in a moment, through the real functions where they are quick, for the tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.grade import Grade, GradeStatement, Reason, decide
from lungsight.evaluation.sections.calibration import calibration
from lungsight.evaluation.sections.decision import decision
from lungsight.evaluation.sections.discrimination import discrimination
from lungsight.evaluation.sections.flow import counts
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.sections.subgroups import subgroups
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import PackageDescription, Preprocessing
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate

QUICK = Resampling(replicates=20)
CLASSES = ("covid19", "other_pneumonia", "no_pneumonia")
SOURCES = (
    ("internal", "north"),
    ("internal", "east"),
    ("external", "south"),
    ("external", "west"),
    ("external", "far"),
)
FLOW = pd.DataFrame({"step": ["in the manifests", "no X-ray"], "left_out": [0, 7], "remain": [1007, 1000]})


def judged_images(
    sources: Sequence[tuple[str, str]] = SOURCES, classes: tuple[str, ...] = CLASSES, per_class: int = 16
) -> TestSet:
    """Images of every source and class, the truth somewhat more probable than the rest."""
    rng = np.random.default_rng(3)
    rows = [
        {"kind": kind, "source": source, "truth": truth}
        for kind, source in sources
        for truth in classes
        for _ in range(per_class)
    ]
    table = pd.DataFrame(rows)
    n = len(table)
    logits = rng.normal(size=(n, len(classes))) + 1.2 * (table["truth"].to_numpy()[:, None] == np.array(classes))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = table.assign(
        path=[f"image{i}.png" for i in range(n)],
        patient=[str(i // 2) for i in range(n)],
        sha256=[f"{i:064x}" for i in range(n)],
        prediction=np.array(classes)[shares.argmax(axis=1)],
        fault="",
        site="",
        sex=rng.choice(["F", "M"], n),
        age=rng.uniform(20, 90, n),
        view="PA",
        reference_standard="RT-PCR",
        split="",
        **{f"probability_{name}": shares[:, i] for i, name in enumerate(classes)},
    )
    headers = pd.DataFrame(
        rng.uniform(1, 2, (n, len(ImageStatistics._fields))), columns=list(ImageStatistics._fields)
    )
    return TestSet(table, classes, classes[0], headers)


def evidence_of(testset: TestSet) -> Evidence:
    """What the real functions find in ``testset``, with two audits, one of them not done."""
    audits = (
        header_audit(),
        not_done("lungs hidden", "Without lungs?", "No masks.", "above 0.55"),
    )
    return Evidence(
        subject=TestedModel("a model", testset.classes, testset.target, description_of(testset), ("north", "east")),
        testset=testset,
        flow=Section("flow", {"flow": FLOW, "counts": counts(testset.scored)}),
        discrimination=discrimination(testset, prevalence=0.1, resampling=QUICK),
        calibration=calibration(testset, resampling=QUICK),
        decision=decision(testset, None, prevalence=0.1, resampling=QUICK),
        subgroups=subgroups(testset, resampling=QUICK),
        audits=(*audits, stress_audit()),
        verdict=decide(testset, audits, QUICK),
        resampling=QUICK,
        made=datetime(2026, 11, 23, tzinfo=UTC),
        prevalence=0.1,
        notices=("far holds 3 images without a patient.",),
        command="lungsight evaluate package --data all.csv",
    )


def description_of(testset: TestSet) -> PackageDescription:
    """Of a package that was never made."""
    return PackageDescription(
        name="a model",
        created=datetime(2026, 1, 2, tzinfo=UTC),
        lungsight_version="0.1.0",
        intended_use="tests",
        classes=testset.classes,
        target=testset.target,
        backbone="none",
        initial_weights="set by hand",
        preprocessing=Preprocessing(image_size=64),
        sources=(),
        split_unit="patient",
        recipe={},
    )


def empty_evidence(*, model: str = "table.csv", source: str = "north", words: str = "") -> Evidence:
    """Evidence without a model and without a figure; ``words`` stand wherever a sentence may."""
    testset = judged_images([("unstated", source)], ("covid19", "other"), 1)
    said = (words,) if words else ()
    nothing = {name: Section(name, {}, said, said) for name in ("flow", "calibration", "decision", "subgroups")}
    none = Estimate("auroc", "covid19", None, None, None, 2, 1, 1, 2, withheld=words or "2 patients only")
    metrics = {"metrics": estimate_table([({"kind": "unstated", "source": source}, none)])}
    return Evidence(
        subject=TestedModel(model, testset.classes, testset.target),
        testset=testset,
        discrimination=Section("discrimination", metrics),
        audits=(not_done("header only", words or "?", words or "Too few."),),
        verdict=GradeStatement(
            Grade.NO_EVIDENCE, words or "Nothing.", (Reason("holds: x", False, words or "None."),)
        ),
        resampling=QUICK,
        made=datetime(2026, 11, 23, tzinfo=UTC),
        notices=said,
        command=words,
        **nothing,
    )


def header_audit() -> Audit:
    """A header that tells the truth as well as the model."""
    estimates = [
        ({"kind": kind, "source": source}, Estimate(name, "covid19", value, 0.7, 0.9, 48, 16, 32, 24, "bca"))
        for kind, source in SOURCES
        for name, value in (("auroc_header", 0.81), ("auroc_model", 0.83))
    ]
    said = "At south the header alone reaches 0.81."
    return Audit(
        "header only",
        "By the header?",
        AuditResult.SHORTCUT,
        said,
        estimates[0][1],
        estimate_table(estimates),
        48,
        "x",
    )


def stress_audit() -> Audit:
    """Verdicts that turn the more, the stronger the noise."""
    estimates = [
        (
            {
                "kind": kind,
                "source": "all",
                "stress": "noise",
                "strength": strength,
                "level": f"{strength:g} of white",
            },
            Estimate("verdicts_turned", "covid19", 3 * strength, 0.0, 0.9, 50, 20, 30, 50, "bca"),
        )
        for kind in ("internal", "external")
        for strength in (0.01, 0.1)
    ]
    effect = replace(estimates[0][1], name="turned_by_some_ordinary_stress")
    return Audit("stress", "Does it turn?", AuditResult.REPORTED, "It does.", effect, estimate_table(estimates), 50)
