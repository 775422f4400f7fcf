"""The model card after an evaluation."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml
from huggingface_hub import ModelCard
from syrupy.assertion import SnapshotAssertion

import prose
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.formatting import as_figure
from lungsight.package import ModelPackage, complete
from lungsight.reporting.model_card import tested_card


def test_the_sentences_of_the_card(report: Path, masks: Mapping[str, str], snapshot: SnapshotAssertion) -> None:
    assert prose.of_text((report / "MODEL_CARD.md").read_text("utf-8"), masks) == snapshot


def test_the_documents_go_into_their_package(evidence: Evidence, report: Path, tmp_path: Path) -> None:
    package = Path(evidence.testset.table["path"].iloc[-1]).parent / "tiny"
    folder = tmp_path / "package"
    shutil.copytree(package, folder)
    complete(folder, report)
    opened = ModelPackage.open(folder)
    opened.verify()
    assert opened.id == evidence.subject.model
    assert opened.model_card == (report / "MODEL_CARD.md").read_text("utf-8")


def test_a_hub_reads_the_card(evidence: Evidence, report: Path) -> None:
    card = ModelCard((report / "MODEL_CARD.md").read_text("utf-8"))
    assert card.data.license == "unknown"
    assert f"verdict-{evidence.verdict.grade.replace(' ', '-')}" in card.data.tags
    assert any(tag.startswith("shortcut-") for tag in card.data.tags)
    results = card.data.eval_results
    sources = {result.dataset_name for result in results}
    assert sources == {"phantom-north (internal)", "phantom-south (external)"}  # scanning refuses all of west
    assert {result.metric_type for result in results} == {"auroc", "sensitivity", "specificity"}


def test_the_card_begins_with_the_grade(evidence: Evidence, report: Path) -> None:
    _, front, body = (report / "MODEL_CARD.md").read_text("utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "image-classification"
    headings = [line for line in body.splitlines() if line.startswith("## ")]
    assert headings[0] == f"## Grade: {evidence.verdict.grade}"
    for audit in evidence.audits:
        effect = as_figure(audit.effect) if audit.effect else "none"
        assert f"| {audit.words} | {audit.call} | {effect} |" in body


def test_the_card_leaves_what_is_not_known_to_the_authors(bare: Evidence) -> None:
    body = tested_card(bare)
    for heading in ("Model", "Ethical considerations", "Licence", "To repeat"):
        section = body.split(f"## {heading}\n\n")[1].split("\n\n##")[0]
        assert "For the authors: " in section
