"""Evidence of a test, built by hand around a real package: every value that a paper may quote is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lungsight.evaluation.audits.audit import Audit, AuditResult, not_done
from lungsight.evaluation.evidence import Evidence, TestedModel
from lungsight.evaluation.grade import Grade, GradeStatement, Reason
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.tables import estimate_table
from lungsight.evaluation.testset.image_statistics import ImageStatistics
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import ModelPackage
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.metrics import estimate_all
from tiny_package import CLASSES, write_tiny

TARGET = "covid19"
RESAMPLING = Resampling(replicates=200)
SOURCES = {"north": "internal", "east": "external"}
RECIPE = {
    "backbone": "tiny",
    "seed": 7,
    "batch_size": 8,
    "keep": "best",
    "select": [{"source": "north", "views": ["PA"]}],
    "split": {"unit": "patient", "validation": 0.15, "test": 0.15, "find_duplicates": True},
    "sampling": {"balance": ["class"], "images_per_epoch": 0},
    "augmentation": {"flip": 0.5, "rotate": 10.0},
    "stages": [{"epochs": 2, "frozen": True}, {"epochs": 5, "lr": [1e-5, 1e-3]}],
}


def make_testset() -> TestSet:
    """Forty images at each of two sources, one of them unreadable, ages missing at the second."""
    draw = np.random.default_rng(3)
    rows = []
    for source, kind in SOURCES.items():
        for i in range(40):
            truth = CLASSES[i % 3]
            logits = draw.normal(0, 1, 3) + 1.5 * (np.arange(3) == i % 3)
            probabilities = np.exp(logits) / np.exp(logits).sum()
            rows.append(
                {
                    "path": f"{source}/{i}.png",
                    "patient": str(i // 2),
                    "source": source,
                    "site": f"{source} {i % 2}",
                    "label": truth,
                    "truth": truth,
                    "reference_standard": "RT-PCR" if truth == TARGET else "radiologist",
                    "view": "PA",
                    "modality": "CR",
                    "age": 40.0 + i if source == "north" else np.nan,
                    "sex": "MF"[i % 2],
                    "split": "",
                    "sha256": f"{source}{i}",
                    "prediction": CLASSES[int(probabilities.argmax())],
                    "fault": "",
                    "kind": kind,
                    **{f"probability_{name}": p for name, p in zip(CLASSES, probabilities, strict=True)},
                }
            )
    table = pd.DataFrame(rows)
    table.loc[5, "fault"] = "north/5.png: can't be read"
    headers = pd.DataFrame(
        draw.uniform(0, 1, (len(table), len(ImageStatistics._fields))), columns=list(ImageStatistics._fields)
    )
    return TestSet(table, CLASSES, TARGET, headers)


def metrics(images: TestSet) -> pd.DataFrame:
    return estimate_table(
        ({"kind": kind, "source": source}, estimate)
        for kind, source, part in images.by_source()
        for estimate in estimate_all(part.outcomes, RESAMPLING)
    )


def make_evidence(package: ModelPackage) -> Evidence:
    images = make_testset()
    flow = pd.DataFrame(
        {
            "step": ["no X-ray", "of a patient the model was trained or tuned on", "the same file again"],
            "left_out": [4, 3, 0],
            "remain": [83, 80, 80],
        }
    )
    figures = metrics(images)
    at = figures[figures["metric"].isin(["sensitivity", "specificity"])].assign(rule="threshold")
    effect = Estimate("auroc", TARGET, 0.55, 0.41, 0.68, 40, 14, 26, 20, "bca")
    return Evidence(
        subject=TestedModel(package.id, CLASSES, TARGET, package.description, ("north", "south")),
        testset=images,
        flow=Section("flow", {"flow": flow}),
        discrimination=Section("discrimination", {"metrics": figures}),
        calibration=Section("calibration", {"calibration": figures[figures["metric"] == "brier_score"]}),
        decision=Section("decision", {"decision": at}, withheld=("No threshold was chosen | on validation data.",)),
        subgroups=Section("subgroups", {"subgroups": figures, "gaps": figures}, ("Women and men alike.",)),
        audits=(
            Audit("lungs hidden", "Does the score need the lungs?", AuditResult.CLEAR, "It needs them.", effect),
            not_done("where it looks", "Is the heatmap in the lungs?", "No image has a mask."),
        ),
        verdict=GradeStatement(
            Grade.INTERNAL_ONLY,
            "It was shown to work only where it was trained.",
            (Reason("a second source", False, "Only one external source was tested."),),
        ),
        resampling=RESAMPLING,
        made=datetime(2026, 11, 23, 4, 0, tzinfo=UTC),
        notices=("Ages are missing at east.",),
        command="lungsight evaluate tiny --data all.csv --out tested",
    )


def without_tables(evidence: Evidence) -> Evidence:
    """The same test of somebody's predictions, with nothing computed."""
    names = ("flow", "discrimination", "calibration", "decision", "subgroups")
    empty = {name: Section(name, {}) for name in names}
    subject = TestedModel("predictions.csv", CLASSES, TARGET)
    unstated = evidence.testset.with_columns(kind="unstated")
    return replace(evidence, subject=subject, testset=unstated, audits=(), notices=(), command="", **empty)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers") / "tiny"
    return write_tiny(folder, recipe=RECIPE, software={"torch": "2.14.1", "numpy": "2.3.0"})


@pytest.fixture(scope="session")
def evidence(packed: Path) -> Evidence:
    return make_evidence(ModelPackage.open(packed))


@pytest.fixture(scope="session")
def bare(evidence: Evidence) -> Evidence:
    """Somebody's table of predictions, with nothing computed of it."""
    return without_tables(evidence)


@pytest.fixture
def evidence_of() -> Callable[[Path], Evidence]:
    return lambda path: make_evidence(ModelPackage.open(path))
