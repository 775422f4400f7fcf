import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from lungsight.errors import PackageError
from lungsight.package import ModelPackage, add_evidence
from lungsight.package.storage import EVIDENCE, METADATA, MODEL_CARD

PAPERS = {MODEL_CARD: b"# tested\n", EVIDENCE: b'{"verdict": "no evidence"}\n'}


def test_papers_are_added_and_the_model_stays_what_it_was(package: Path) -> None:
    before = ModelPackage.open(package)
    written = add_evidence(package, PAPERS)
    after = ModelPackage.open(package)
    after.verify()
    assert after.id == before.id == written.model_id
    assert after.description == written
    assert {name: after.read(name) for name in PAPERS} == PAPERS
    kept = set(before.description.files) - set(PAPERS)
    assert {name: after.description.files[name] for name in kept} == {
        name: before.description.files[name] for name in kept
    }


def test_papers_may_be_replaced_again(package: Path) -> None:
    add_evidence(package, PAPERS)
    add_evidence(package, {MODEL_CARD: b"# tested again\n"})
    opened = ModelPackage.open(package)
    opened.verify()
    assert opened.model_card == "# tested again\n"
    assert opened.read(EVIDENCE) == PAPERS[EVIDENCE]


def test_only_the_whole_package_is_left_behind(package: Path) -> None:
    add_evidence(package, PAPERS)
    assert {file.name for file in package.parent.iterdir()} == {"tiny", "tiny.onnx"}


def test_an_interruption_leaves_the_package_as_it_was(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {file.name: file.read_bytes() for file in package.iterdir()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lungsight.package.attach.sign", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_evidence(package, PAPERS)
    assert {file.name: file.read_bytes() for file in package.iterdir()} == before


@pytest.mark.parametrize("name", ["network.onnx", "package.json", "../evil.py", "setup.py"])
def test_nothing_but_papers_can_be_given(package: Path, name: str) -> None:
    before = (package / "package.json").read_bytes()
    with pytest.raises(PackageError, match="can't be given"):
        add_evidence(package, {name: b"x"})
    assert (package / "package.json").read_bytes() == before


def test_a_file_altered_before_is_still_found_out(package: Path) -> None:
    (package / "trained_on.csv").write_bytes(b"sha256,patient,source,split\n")
    add_evidence(package, PAPERS)
    with pytest.raises(PackageError, match=r"trained_on\.csv was altered"):
        ModelPackage.open(package).verify()


def test_a_zip_is_refused_with_the_way_out(package: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in package.iterdir():
            archive.write(file, file.name)
    with pytest.raises(PackageError, match="unzip it"):
        add_evidence(path, PAPERS)


def test_metadata_of_an_older_package_goes(package: Path) -> None:
    (package / METADATA).write_text("{}")
    stated = json.loads((package / "package.json").read_text())
    stated["files"][METADATA] = hashlib.sha256(b"{}").hexdigest()
    (package / "package.json").write_text(json.dumps(stated))
    ModelPackage.open(package).verify()
    add_evidence(package, PAPERS)
    ModelPackage.open(package).verify()
    assert not (package / METADATA).exists()
