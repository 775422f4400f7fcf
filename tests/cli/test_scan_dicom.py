"""``lungsight scan --dicom``: result objects for every DICOM image that is analysed, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import dcmread
from typer.testing import CliRunner, Result

from detector_fixtures import cropping
from dicom_phantom import phantom_bytes
from lungsight.cli import app

pytest.importorskip("highdicom")
__all__ = ["cropping"]


def lungsight(*arguments: object) -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two images, one that is refused, one without a study, and two that are no DICOM images."""
    folder = tmp_path / "study"
    folder.mkdir()
    for seed in range(2):
        (folder / f"{seed}.dcm").write_bytes(phantom_bytes(seed))
    (folder / "lateral.dcm").write_bytes(phantom_bytes(2, ViewPosition="LL", ViewCodeSequence=[]))
    (folder / "nowhere.dcm").write_bytes(phantom_bytes(0, StudyInstanceUID=None, SOPInstanceUID="2.25.7"))
    (folder / "damaged.dcm").write_bytes(phantom_bytes(4)[:900])
    return folder


def _made(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.dcm"))}


def test_every_analysed_image_gets_its_objects_and_no_other(study: Path, cropping: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", tmp_path / "f.jsonl"
    called = ("scan", study, "--model", cropping, "--dicom", out, "--json", table)
    done = lungsight(*called)
    assert done.exit_code == 1, done.output  # the damaged one
    made = _made(out)
    assert sorted(Path(name).name[:2] for name in made) == ["sc", "sc", "sr", "sr"]
    assert {dcmread(out / name).StudyInstanceUID for name in made} == {Path(name).parts[0] for name in made}
    records = {Path(record["file"]).name: record for record in map(json.loads, table.read_text().splitlines())}
    assert any("StudyInstanceUID" in sentence for sentence in records["nowhere.dcm"]["warnings"])
    assert records["lateral.dcm"]["status"] == "refused"
    assert lungsight(*called).exit_code == 1  # resumed: nothing new
    assert _made(out) == made
    lungsight(*called, "--restart")
    assert _made(out) == made


def test_results_in_a_scanned_folder_are_passed_over(study: Path, cropping: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    lungsight("scan", study / "0.dcm", "--model", cropping, "--dicom", out)
    (next(out.rglob("sc-*.dcm"))).rename(study / "copied.dcm")
    done = lungsight("scan", study, "--model", cropping, "--json", tmp_path / "f.jsonl")
    assert "copied" not in (tmp_path / "f.jsonl").read_text()
    assert "1 result of lungsight" in done.output
    named = lungsight("scan", study / "copied.dcm", "--model", cropping)
    assert named.exit_code == 1
    assert "result of lungsight, not a radiograph" in " ".join(named.output.split())


def test_other_kinds_are_asked_for_by_name(study: Path, cropping: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert lungsight("scan", study / "0.dcm", "--model", cropping, "--dicom", out, "--dicom-objects", "seg,gsps")
    assert sorted(Path(name).name.partition("-")[0] for name in _made(out)) == ["gsps", "seg"]
    wrong = lungsight("scan", study / "0.dcm", "--model", cropping, "--dicom", out, "--dicom-objects", "pdf")
    assert wrong.exit_code == 3
    assert "sc, sr, gsps, seg" in wrong.output
