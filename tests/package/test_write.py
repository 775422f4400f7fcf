from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from safetensors.numpy import load_file, save_file

from lungsight.errors import PackageError
from lungsight.package import ModelPackage, write_package
from lungsight.package.storage import PARTS

Make = Callable[..., Path]


def test_a_package_holds_its_six_files_and_nothing_else(package: Path) -> None:
    assert {file.name for file in package.iterdir()} == {*PARTS, "package.json"}
    assert set(ModelPackage.open(package).description.files) == set(PARTS)


def test_only_the_whole_package_is_left_behind(package: Path) -> None:
    assert {file.name for file in package.parent.iterdir()} == {"tiny", "tiny.onnx"}


def test_a_package_is_replaced_by_the_next(make_package: Make) -> None:
    make_package()
    assert ModelPackage.open(make_package(intended_use="other tests")).description.intended_use == "other tests"


def test_a_folder_with_other_content_is_left_alone(make_package: Make, tmp_path: Path) -> None:
    (tmp_path / "theses").mkdir()
    (tmp_path / "theses" / "mine.txt").write_text("years of work")
    with pytest.raises(PackageError, match="isn't a model package"):
        make_package("theses")
    assert (tmp_path / "theses" / "mine.txt").read_text() == "years of work"


def test_reference_outputs_are_what_the_network_says(package: Path) -> None:
    reference = load_file(package / "reference.safetensors")
    network = ModelPackage.open(package).network()
    logits, maps = network.run(reference["inputs"].astype(np.float32) / 255)
    assert logits == pytest.approx(reference["logits"], abs=1e-6)
    assert maps == pytest.approx(reference["maps"], abs=1e-6)
    assert np.ptp(reference["logits"]) > 0.01


def test_a_network_whose_maps_do_not_add_up_is_not_packed(make_package: Make, tiny_model: onnx.ModelProto) -> None:
    tiny_model.graph.node[-1].input[0] = "doubled"
    tiny_model.graph.initializer.append(numpy_helper.from_array(np.float32(2), "two"))
    tiny_model.graph.node.insert(5, helper.make_node("Mul", ["flat", "two"], ["doubled"]))
    with pytest.raises(PackageError, match="aren't the mean of their maps"):
        make_package(model=tiny_model)


def test_a_network_with_another_number_of_classes_is_not_packed(make_package: Make) -> None:
    with pytest.raises(PackageError, match="3,\\) outputs for 2 classes"):
        make_package(classes=("covid19", "other"))


def test_weights_may_be_a_file(package: Path, tmp_path: Path) -> None:
    save_file({"layer": np.arange(3, dtype=np.float32)}, tmp_path / "own.safetensors")
    original = ModelPackage.open(package)
    write_package(
        tmp_path / "copy",
        original.description,
        network=package / "network.onnx",
        weights=tmp_path / "own.safetensors",
        reference_inputs=load_file(package / "reference.safetensors")["inputs"],
        trained_on=original.trained_on,
        model_card=original.model_card,
    )
    assert load_file(tmp_path / "copy" / "weights.safetensors")["layer"].tolist() == [0, 1, 2]
    ModelPackage.open(tmp_path / "copy").verify()
