"""Lung fields and familiarity as parts of a package; the gate's are with the gate."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.ood import OODDescription, OODDetector
from lungsight.errors import PackageError
from lungsight.package import ModelPackage, Preprocessing
from lungsight.package.descriptions_text import parts_in_words
from lungsight.package.model_card import model_card
from lungsight.package.storage import FAMILIARITY, LUNG_FIELDS
from tiny_package import describe, write_tiny
from tiny_parts import LUNG_FIELDS as DESCRIBED
from tiny_parts import tiny_familiarity, tiny_lung_fields

Change = Callable[[dict[str, Any]], object]


def whole(folder: Path, **changes: object) -> Path:
    """A package with lung fields and familiarity."""
    described, stored = tiny_familiarity()
    stated = {
        "preprocessing": Preprocessing(image_size=32, geometry="lungs"),
        "lung_fields": DESCRIBED,
        "familiarity": described,
        "parts": {LUNG_FIELDS: tiny_lung_fields(), FAMILIARITY: stored},
    }
    return write_tiny(folder, **(stated | changes))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return whole(tmp_path / "whole")


def sign_again(package: Path, name: str, content: bytes) -> None:
    (package / name).write_bytes(content)
    description = json.loads((package / "package.json").read_text())
    description["files"][name] = hashlib.sha256(content).hexdigest()
    (package / "package.json").write_text(json.dumps(description))


def test_a_package_hands_out_its_parts(package: Path) -> None:
    opened = ModelPackage.open(package)
    opened.verify()
    assert isinstance(opened.lung_fields(1), LungSegmentation)
    assert isinstance(opened.familiarity(), OODDetector)
    assert opened.gate(1) is None


def test_a_package_without_parts_has_none(tmp_path: Path) -> None:
    opened = ModelPackage.open(write_tiny(tmp_path / "plain"))
    assert opened.lung_fields() is None
    assert opened.gate() is None
    assert opened.familiarity() is None


def test_packages_of_before_keep_their_id() -> None:
    assert describe(files={"network.onnx": "0" * 64}).model_id == "tiny 156fac297959"


@pytest.mark.parametrize(
    "changes",
    [
        {"lung_fields": DESCRIBED.model_copy(update={"threshold": 0.6})},
        {"parts": {LUNG_FIELDS: tiny_lung_fields(0.3), FAMILIARITY: tiny_familiarity()[1]}},
        {"familiarity": tiny_familiarity()[0].model_copy(update={"threshold": 1.0})},
        {"preprocessing": Preprocessing(image_size=32, geometry="lungs", margin=0.2)},
    ],
    ids=["threshold", "network", "familiarity", "margin"],
)
def test_the_id_rests_on_the_parts(package: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    assert ModelPackage.open(whole(tmp_path / "other", **changes)).id != ModelPackage.open(package).id


@pytest.mark.parametrize("name", [LUNG_FIELDS, FAMILIARITY])
def test_one_flipped_bit_in_a_part_is_found(package: Path, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[len(content) // 2] ^= 1
    (package / name).write_bytes(content)
    for use in (ModelPackage.verify, ModelPackage.lung_fields if name == LUNG_FIELDS else ModelPackage.familiarity):
        with pytest.raises(PackageError, match=f"{name} was altered"):
            use(ModelPackage.open(package))


def _other_network(package: Path) -> bytes:
    return (package / "network.onnx").read_bytes()


def _of_other_features(package: Path) -> bytes:
    arrays = load((package / FAMILIARITY).read_bytes())
    return save(arrays | {"basis": np.zeros((7, 2), np.float32)})


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (LUNG_FIELDS, _other_network, "must give lungs"),
        (LUNG_FIELDS, lambda _: b"other", "isn't an ONNX file"),
        (FAMILIARITY, _of_other_features, "basis has the shape"),
        (FAMILIARITY, lambda _: b"other", "isn't a readable safetensors file"),
    ],
)
def test_a_part_off_its_contract_is_named_though_signed(
    package: Path, name: str, content: Callable[[Path], bytes], problem: str
) -> None:
    sign_again(package, name, content(package))
    with pytest.raises(PackageError, match=f"{name} can't be used: .*{problem}"):
        ModelPackage.open(package).verify()


def test_familiarity_of_another_network_is_found(tmp_path: Path) -> None:
    described, stored = tiny_familiarity(features=9)
    with pytest.raises(PackageError, match=f"{FAMILIARITY} fails on a reference image"):
        whole(tmp_path / "other", familiarity=described, parts={LUNG_FIELDS: tiny_lung_fields(), FAMILIARITY: stored})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d.update(familiarity=None), "holds familiarity.safetensors and doesn't describe it"),
        (lambda d: d["files"].pop(FAMILIARITY), "also holds familiarity.safetensors"),
        (lambda d: d.update(lung_fields=None), "no lung_fields to find them"),
    ],
)
def test_what_is_described_must_be_held_and_the_other_way_round(package: Path, change: Change, problem: str) -> None:
    stated = json.loads((package / "package.json").read_text())
    change(stated)
    (package / "package.json").write_text(json.dumps(stated))
    with pytest.raises(PackageError, match=problem):
        ModelPackage.open(package)


def test_a_described_part_that_is_gone_is_missed(package: Path) -> None:
    stated = json.loads((package / "package.json").read_text())
    del stated["files"][FAMILIARITY]
    (package / "package.json").write_text(json.dumps(stated))
    (package / FAMILIARITY).unlink()
    with pytest.raises(PackageError, match=r"describes familiarity\.safetensors and doesn't hold it"):
        ModelPackage.open(package)


def test_nothing_is_written_of_parts_that_dont_fit(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"can't be given lung_fields\.onnx"):
        write_tiny(tmp_path / "undescribed", parts={LUNG_FIELDS: tiny_lung_fields()})
    with pytest.raises(PackageError, match=r"lung_fields\.onnx is described and not there"):
        write_tiny(tmp_path / "ungiven", lung_fields=DESCRIBED)
    assert not (tmp_path / "undescribed").exists()
    assert not (tmp_path / "ungiven").exists()


def test_a_lung_crop_needs_lung_fields() -> None:
    with pytest.raises(ValueError, match="no lung_fields"):
        describe(preprocessing=Preprocessing(image_size=32, geometry="lungs"))


def test_the_parts_are_told_in_words(package: Path) -> None:
    description = ModelPackage.open(package).description
    said = parts_in_words(description)
    assert list(said) == ["Lung segmentation", "Out-of-distribution detector"]
    assert "9 images (phantoms 9) with lung masks" in said["Lung segmentation"]
    assert "10% of its width and height larger on each side" in said["Lung segmentation"]
    stated = description.familiarity
    assert isinstance(stated, OODDescription)
    assert f"further than {stated.threshold:.1f} from every class" in said["Out-of-distribution detector"]
    card = model_card(description)
    for sentences in said.values():
        assert sentences in card
    assert parts_in_words(describe()) == {}
