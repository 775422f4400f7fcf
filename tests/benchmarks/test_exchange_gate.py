"""A package takes another gate, and says whose figures stand in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lungsight.package import ModelPackage
from lungsight.package.attach import add_evidence
from lungsight.package.storage import EVIDENCE, GATE, MODEL_CARD
from tiny_package import write_tiny
from tiny_parts import describe_gate, tiny_gate

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "quality" / "exchange_gate.py"
CARD = "# tiny\n\n## Verdict: confounded\n\n## Model\n\n- Gate: the old one.\n\n## Tested on\n\nMany.\n"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """With a gate, and evidence of a test."""
    folder = tmp_path / "package"
    write_tiny(folder, parts={GATE: tiny_gate()}, gate=describe_gate())
    evidence = json.dumps({"subject": {"model": ModelPackage.open(folder).id}}).encode()
    add_evidence(folder, {MODEL_CARD: CARD.encode(), EVIDENCE: evidence})
    return folder


def new_gate(folder: Path, onnx_file: bytes) -> Path:
    folder.mkdir()
    (folder / "gate.onnx").write_bytes(onnx_file)
    stated = describe_gate(greatest_distance=3.0, trained_on={"bones": 7})
    (folder / "gate.json").write_text(stated.model_dump_json())
    return folder


def exchanged(package: Path, gate: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, package, gate], capture_output=True, text=True, check=False)


def test_the_gate_is_another_and_all_else_is_as_it_was(package: Path, tmp_path: Path) -> None:
    before = ModelPackage.open(package)
    kept = {name: content for name, content in before.contents().items() if name in before.description.files}
    run = exchanged(package, new_gate(tmp_path / "gate", tiny_gate(sure=5.0)))
    assert run.returncode == 0, run.stderr
    after = ModelPackage.open(package)
    after.verify()
    assert after.id != before.id
    assert run.stdout.strip() == after.id
    assert after.description.gate is not None
    assert after.description.gate.trained_on == {"bones": 7}
    assert after.read(GATE) == (tmp_path / "gate" / "gate.onnx").read_bytes()
    assert {name for name in kept if after.read(name) != kept[name]} == {GATE, MODEL_CARD}


def test_the_card_says_which_model_was_tested_and_says_it_once(package: Path, tmp_path: Path) -> None:
    tested = ModelPackage.open(package).id
    for place in ("first", "second"):
        assert exchanged(package, new_gate(tmp_path / place, tiny_gate())).returncode == 0
    card = ModelPackage.open(package).model_card
    assert f"are of the model {tested}" in card
    assert ModelPackage.open(package).id in card
    assert card.count("## Gate exchanged") == card.count("## Model") == card.count("## Tested on") == 1
    assert "bones 7" in card
    assert "the old one" not in card


def test_a_file_that_is_no_gate_leaves_the_package_as_it_was(package: Path, tmp_path: Path) -> None:
    before = ModelPackage.open(package).contents()
    assert exchanged(package, new_gate(tmp_path / "gate", b"no network")).returncode != 0
    assert ModelPackage.open(package).contents() == before
