import hashlib
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from lungsight.errors import PackageError
from lungsight.package import Calibration, Decision, ModelPackage, Preprocessing
from lungsight.package.trained_on import TrainedImage, from_csv, patient_digest, to_csv
from tiny_package import describe, tiny_network

Make = Callable[..., Path]


def change(package: Path, **fields: object) -> None:
    file = package / "package.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def _other_network() -> onnx.ModelProto:
    network = tiny_network()
    bias = next(tensor for tensor in network.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.01), "bias"))
    return network


def zipped(package: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(package.iterdir()):
            archive.write(file, prefix + file.name)
    return target


def test_the_id_is_the_name_and_twelve_digits(package: Path) -> None:
    assert re.fullmatch(r"tiny [0-9a-f]{12}", ModelPackage.open(package).id)


@pytest.mark.parametrize(
    "acts",
    [
        {"calibration": Calibration(temperature=1.6, fitted_on=30)},
        {"decision": Decision(inconclusive_below=0.6)},
        {"preprocessing": Preprocessing(image_size=32, geometry="pad")},
        {"classes": ("covid19", "no_pneumonia", "other_pneumonia")},
        {"target": "no_pneumonia"},
        {"model": _other_network()},
    ],
    ids=lambda acts: next(iter(acts)),
)
def test_what_answers_otherwise_has_another_id(make_package: Make, acts: dict[str, object]) -> None:
    assert ModelPackage.open(make_package("other", **acts)).id != ModelPackage.open(make_package()).id


@pytest.mark.parametrize("says", [{"intended_use": "other tests"}, {"software": {"torch": "2.9"}}, {"sources": ()}])
def test_what_is_only_written_about_a_model_leaves_its_id(make_package: Make, says: dict[str, object]) -> None:
    assert ModelPackage.open(make_package("other", **says)).id == ModelPackage.open(make_package()).id


def test_an_id_stays_what_it_was_when_lungsight_learns_more() -> None:
    """A key added to the description later, with a default, may not change the id of packages that lack it."""
    rests_on = (
        '{"calibration": {"fitted_on": 30, "temperature": 1.5}, '
        '"classes": ["covid19", "other_pneumonia", "no_pneumonia"], '
        '"network": "00", "preprocessing": {"image_size": 32}, "target": "covid19"}'
    )
    expected = hashlib.sha256(rests_on.encode()).hexdigest()[:12]
    assert describe(files={"network.onnx": "00"}).model_id == f"tiny {expected}"


def test_patients_are_told_apart_but_not_named(package: Path) -> None:
    (image,) = ModelPackage.open(package).trained_on
    assert image.patient == patient_digest("north", "Ümit, 7")
    assert "mit, 7" not in (package / "trained_on.csv").read_text()


@pytest.mark.parametrize("prefix", ["", "tiny/"])
def test_a_zip_is_read_with_or_without_its_folder(package: Path, tmp_path: Path, prefix: str) -> None:
    opened = ModelPackage.open(zipped(package, tmp_path / "model.zip", prefix))
    assert opened.description.name == "tiny"
    assert opened.model_card == "# tiny\n"


def test_a_zip_that_reaches_outside_is_refused(package: Path, tmp_path: Path) -> None:
    path = zipped(package, tmp_path / "model.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.py", "print('hello')")
    with pytest.raises(PackageError, match="points outside"):
        ModelPackage.open(path)
    assert not (tmp_path.parent / "evil.py").exists()


def test_a_zip_with_a_damaged_member_is_refused(package: Path, tmp_path: Path) -> None:
    path = zipped(package, tmp_path / "model.zip")
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("network.onnx").header_offset
    content = bytearray(path.read_bytes())
    content[start + 200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(PackageError, match=r"network\.onnx in the zip is damaged"):
        ModelPackage.open(path).network()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "there is no such model package"),
        (lambda path: path.mkdir(), "holds no package.json"),
        (lambda path: path.write_bytes(b"PK\x03\x04 and then nothing"), "neither a folder nor a readable zip"),
        (lambda path: path.write_bytes(b""), "neither a folder nor a readable zip"),
    ],
)
def test_what_is_no_package_is_said_in_one_sentence(
    tmp_path: Path, make: Callable[[Path], object], problem: str
) -> None:
    path = tmp_path / "thing"
    make(path)
    with pytest.raises(PackageError, match=problem) as said:
        ModelPackage.open(path)
    assert str(path) in str(said.value)


def test_a_missing_file_is_named(package: Path) -> None:
    (package / "MODEL_CARD.md").unlink()
    with pytest.raises(PackageError, match=r"lacks MODEL_CARD\.md"):
        ModelPackage.open(package)


@pytest.mark.parametrize("name", ["setup.py", "weights.pkl"])
def test_a_file_too_many_is_named(package: Path, name: str) -> None:
    (package / name).write_bytes(b"cos\nsystem\n.")
    with pytest.raises(PackageError, match=f"also holds {name}"):
        ModelPackage.open(package)


def test_a_file_too_many_is_refused_though_signed(package: Path) -> None:
    (package / "setup.py").write_bytes(b"")
    files = json.loads((package / "package.json").read_text())["files"]
    change(package, files=files | {"setup.py": hashlib.sha256(b"").hexdigest()})
    with pytest.raises(PackageError, match=r"names setup\.py, no part of a package"):
        ModelPackage.open(package)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"schema_version": 2}, "its schema is 2 and this lungsight reads 1"),
        ({"classes": ["covid19"]}, "classes"),
        ({"target": "influenza"}, "target 'influenza' is not among the classes"),
        ({"colour": "green"}, "colour: Extra inputs are not permitted"),
        ({"files": {}}, "also holds|gives no sha256"),
    ],
)
def test_a_description_off_the_schema_is_refused(package: Path, fields: dict[str, object], problem: str) -> None:
    change(package, **fields)
    with pytest.raises(PackageError, match=problem):
        ModelPackage.open(package)


def test_the_table_of_trained_images_survives_the_way_to_disk() -> None:
    images = (
        TrainedImage("a" * 64, "b" * 64, 'St. "Mary", Łódź', "train"),
        TrainedImage("c", "d", "e", "validation"),
    )
    assert from_csv(to_csv(images)) == images


@pytest.mark.parametrize("table", [b"", b"sha256,source\n", b"sha256,patient,source,split\na,b\n", b"\xff\xfe"])
def test_another_table_is_refused(table: bytes) -> None:
    with pytest.raises(ValueError):
        from_csv(table)
