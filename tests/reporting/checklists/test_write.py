import csv
import json
import shutil
from pathlib import Path

import yaml
from huggingface_hub import ModelCard

from lungsight.evaluation.evidence import Evidence
from lungsight.package import ModelPackage, complete
from lungsight.reporting.checklists import write_checklists


def test_every_paper_is_written_whole(evidence: Evidence, tmp_path: Path) -> None:
    files = write_checklists(evidence, tmp_path / "tested")
    names = ["claim.md", "claim.csv", "tripod_ai.md", "tripod_ai.csv", "MODEL_CARD.md"]
    assert [file.name for file in files] == names
    assert {file.name for file in (tmp_path / "tested").iterdir()} == set(names)


def test_csv_and_markdown_say_the_same(evidence: Evidence, tmp_path: Path) -> None:
    write_checklists(evidence, tmp_path)
    for stem in ("claim", "tripod_ai"):
        rows = list(csv.DictReader((tmp_path / f"{stem}.csv").open(encoding="utf-8")))
        text = (tmp_path / f"{stem}.md").read_text("utf-8")
        assert text.count("\n| ") - 2 == len(rows)
        for row in rows:
            assert f"| {row['item']} |" in text
            assert row["answer"].replace("|", "\\|") in text


def test_the_papers_go_into_their_package(evidence: Evidence, packed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "package"
    shutil.copytree(packed, folder)
    tested = tmp_path / "tested"
    write_checklists(evidence, tested)
    (tested / "evidence.json").write_text(json.dumps({"subject": {"model": evidence.subject.model}}))
    complete(folder, tested)
    opened = ModelPackage.open(folder)
    opened.verify()
    assert opened.id == evidence.subject.model
    assert opened.model_card == (tested / "MODEL_CARD.md").read_text("utf-8")


def test_a_hub_reads_the_card(evidence: Evidence, tmp_path: Path) -> None:
    write_checklists(evidence, tmp_path)
    card = ModelCard((tmp_path / "MODEL_CARD.md").read_text("utf-8"))
    assert card.data.license == "unknown"
    assert "verdict-internal-only" in card.data.tags
    results = card.data.eval_results
    assert {result.dataset_name for result in results} == {"north (internal)", "east (external)"}
    assert {result.metric_type for result in results} == {"auroc", "sensitivity", "specificity", "ppv", "npv"}


def test_the_card_begins_with_the_verdict(evidence: Evidence, tmp_path: Path) -> None:
    write_checklists(evidence, tmp_path)
    _, front, body = (tmp_path / "MODEL_CARD.md").read_text("utf-8").split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "image-classification"
    headings = [line for line in body.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Verdict: internal only"
    assert "Only one external source was tested." in body
    assert "| lungs hidden | clear | 0.55 (0.41–0.68, n = 40" in body


def test_the_card_leaves_what_nobody_told_to_the_authors(bare: Evidence, tmp_path: Path) -> None:
    write_checklists(bare, tmp_path)
    body = (tmp_path / "MODEL_CARD.md").read_text("utf-8")
    for heading in ("Figures", "At the thresholds", "Subgroups", "Ethical considerations", "To repeat"):
        section = body.split(f"## {heading}\n\n")[1].split("\n\n##")[0]
        assert section.startswith("For the authors: ")
    assert "model-index" not in body
