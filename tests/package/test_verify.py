import hashlib
import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from safetensors.numpy import load_file, save_file

from lungsight.errors import PackageError
from lungsight.inference import Detector
from lungsight.package import Calibration, ModelPackage
from tiny_package import CLASSES, write_tiny

Make = Callable[..., Path]


def sign_again(package: Path, name: str) -> None:
    """Give package.json the new sha256 of an altered file, as an attacker would."""
    description = json.loads((package / "package.json").read_text())
    description["files"][name] = hashlib.sha256((package / name).read_bytes()).hexdigest()
    (package / "package.json").write_text(json.dumps(description))


def move_reference(package: Path, name: str) -> None:
    """As if the network had said something else of its reference images where it was made."""
    reference = load_file(package / "reference.safetensors")
    reference[name] = reference[name] + np.float32(0.01)
    save_file(reference, package / "reference.safetensors")
    sign_again(package, "reference.safetensors")


def test_a_package_as_written_verifies(package: Path) -> None:
    ModelPackage.open(package).verify()


@pytest.mark.parametrize(
    "name", ["network.onnx", "weights.safetensors", "MODEL_CARD.md", "reference.safetensors", "trained_on.csv"]
)
def test_one_flipped_bit_is_found_in_every_file(package: Path, name: str) -> None:
    content = bytearray((package / name).read_bytes())
    content[len(content) // 2] ^= 1
    (package / name).write_bytes(content)
    with pytest.raises(PackageError, match=f"{name} was altered"):
        ModelPackage.open(package).verify()


def test_other_weights_in_the_network_are_found_though_signed(package: Path) -> None:
    model = onnx.load(str(package / "network.onnx"))
    kernel = onnx.numpy_helper.to_array(model.graph.initializer[1]) * np.float32(1.01)
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(kernel, "classes"))
    onnx.save(model, str(package / "network.onnx"))
    sign_again(package, "network.onnx")
    with pytest.raises(PackageError, match="no longer gives its reference logits"):
        ModelPackage.open(package).verify()


def test_a_network_that_says_something_else_is_refused_as_it_is_loaded(package: Path) -> None:
    move_reference(package, "logits")
    with pytest.raises(PackageError, match="no longer gives its reference logits"):
        Detector.load(package)


def test_other_reference_outputs_are_found(package: Path) -> None:
    move_reference(package, "maps")
    with pytest.raises(PackageError, match="no longer gives its reference maps"):
        ModelPackage.open(package).verify()


def test_a_reference_that_lacks_its_outputs_is_found(package: Path) -> None:
    save_file({"inputs": np.zeros((1, 1, 32, 32), np.uint8)}, package / "reference.safetensors")
    sign_again(package, "reference.safetensors")
    with pytest.raises(PackageError, match="lacks logits, maps"):
        ModelPackage.open(package).verify()


def test_a_pickle_in_place_of_the_weights_is_not_opened(package: Path) -> None:
    (package / "weights.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR.")
    sign_again(package, "weights.safetensors")
    with pytest.raises(PackageError, match="isn't a readable safetensors file"):
        ModelPackage.open(package).verify()


@pytest.mark.parametrize("temperature", [0.001, 400.0])
def test_a_temperature_from_a_failed_fit_is_refused(make_package: Make, temperature: float) -> None:
    path = make_package(calibration=Calibration(temperature=temperature))
    with pytest.raises(PackageError, match="calibration temperature"):
        ModelPackage.open(path).verify()


@pytest.mark.parametrize("line", [(-0.5, 0.0), (1e-9, 0.0), (1.0, 30.0)])
def test_a_platt_line_from_a_failed_fit_is_refused(make_package: Make, line: tuple[float, float]) -> None:
    path = make_package(calibration=Calibration(platt=dict.fromkeys(CLASSES, line)))
    with pytest.raises(PackageError, match="calibration line of covid19"):
        ModelPackage.open(path).verify()


def test_weights_in_another_file_are_refused(package: Path) -> None:
    model = onnx.load(str(package / "network.onnx"))
    tensor = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "/etc/hostname")
    tensor.ClearField("raw_data")
    (package / "network.onnx").write_bytes(model.SerializeToString())
    sign_again(package, "network.onnx")
    with pytest.raises(PackageError, match="its weights lie in another file"):
        ModelPackage.open(package).network()


def test_operators_of_other_people_are_refused(make_package: Make, tiny_model: onnx.ModelProto) -> None:
    tiny_model.graph.node[1].domain = "com.example"
    tiny_model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(PackageError, match=r"com\.example\.Relu"):
        make_package(model=tiny_model)


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08"])
def test_what_is_no_network_is_refused(package: Path, content: bytes) -> None:
    (package / "network.onnx").write_bytes(content)
    sign_again(package, "network.onnx")
    with pytest.raises(PackageError, match=r"network\.onnx can't be used"):
        ModelPackage.open(package).verify()


def test_a_zip_of_the_package_verifies_and_is_the_same_model(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiny.zip", "w") as archive:
        for file in package.iterdir():
            archive.write(file, f"tiny/{file.name}")
    zipped = ModelPackage.open(tmp_path / "tiny.zip")
    zipped.verify()
    assert zipped.id == ModelPackage.open(package).id


@pytest.fixture(scope="module")
def zipped(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = write_tiny(tmp_path_factory.mktemp("fuzz") / "tiny")
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return content.getvalue()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_zip_is_whole_or_refused_in_one_sentence(
    zipped: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(zipped)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(content)) | st.integers(len(content) // 2, len(content)))
    (tmp_path / "tiny.zip").write_bytes(content[:length])
    sentence = ""
    try:
        ModelPackage.open(tmp_path / "tiny.zip").verify()
    except PackageError as problem:
        sentence = str(problem)
    assert "\n" not in sentence


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_a_description_or_refused(package: Path, content: object) -> None:
    (package / "package.json").write_text(json.dumps(content))
    with pytest.raises(PackageError):
        ModelPackage.open(package)
