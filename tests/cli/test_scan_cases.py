"""The released model gives one simulated film one answer, however the file that holds it was written."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lungsight.cli import app

pytestmark = pytest.mark.shared

REFERENCE = "ok.dcm"
TOLERANCE = 0.02
#: The same film with a quarter of the pixels: the network sees less, and its answer moves.
SMALLER = ("pecho.dcm", "ap_portable.dcm")
#: Its only usable window clips more than half of the film.
CLIPPED = "emptyfirst.dcm"


@pytest.fixture(scope="module")
def findings(shared_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What a scan of every image among the cases says, by file name."""
    images = sorted(path for ending in ("dcm", "png", "tif") for path in shared_cases.glob(f"*/*.{ending}"))
    out = tmp_path_factory.mktemp("cases") / "findings.jsonl"
    result = CliRunner().invoke(app, ["scan", *map(str, images), "--json", str(out)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == len(images)
    return {Path(line["file"]).name: line for line in lines}


def _probability(finding: dict[str, object]) -> float:
    probabilities = finding["probabilities"]
    assert isinstance(probabilities, dict)
    return float(probabilities["covid19"])


def test_every_case_reads_as_the_reference(findings: dict[str, dict[str, object]]) -> None:
    expected = _probability(findings[REFERENCE])
    for name, finding in findings.items():
        if name == CLIPPED:
            continue
        assert finding["status"] == "read", (name, finding["reasons"])
        tolerance = 3 * TOLERANCE if name in SMALLER else TOLERANCE
        assert _probability(finding) == pytest.approx(expected, abs=tolerance), name


def test_a_window_other_than_the_first_is_told(findings: dict[str, dict[str, object]]) -> None:
    assert "has no usable first window: window 2 is taken" in " ".join(findings[CLIPPED]["warnings"])  # type: ignore[arg-type]


def test_a_disc_with_reports_and_icons_is_read_whole(shared_cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "disc.jsonl"
    result = CliRunner().invoke(app, ["scan", str(shared_cases / "28-disc" / "cd.zip"), "--json", str(out)])
    assert result.exit_code == 0, result.output
    findings = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert {f["file"].partition("!/")[2] for f in findings if f["status"] == "read"} == {
        "IMAGES/IM000001",
        "IMAGES/IM000002",
    }
    assert {f["status"] for f in findings} == {"read", "refused"}  # the viewer's own pictures are no X-rays
