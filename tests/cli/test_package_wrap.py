"""`lungsight package wrap`: guesses, questions, what it shows, and a description that evaluation can use."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from lungsight.cli import app
from lungsight.components.onnx_description import read_description
from lungsight.evaluation.other_models import open_other_model
from other_onnx import SIDE, convolutional


@pytest.fixture
def network(tmp_path: Path) -> Path:
    (tmp_path / "net.onnx").write_bytes(
        convolutional(channels=3, layout="NHWC", ends_in="Softmax").SerializeToString()
    )
    return tmp_path / "net.onnx"


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    greys = np.linspace(30, 220, 90 * 100).reshape(90, 100)
    Image.fromarray(greys.astype(np.uint8)).save(tmp_path / "chest.png")
    return tmp_path / "chest.png"


def wrap(*arguments: object, answers: str = "") -> Result:
    return CliRunner(env={"COLUMNS": "120"}).invoke(
        app, ["package", "wrap", *(str(argument) for argument in arguments)], input=answers
    )


CLASSES = ("--class", "covid19", "--class", "pneumonia=other_pneumonia,tuberculosis", "--class", "normal=*")


def test_guesses_are_taken_and_the_network_is_tried(network: Path, chest: Path) -> None:
    shown = network.with_name("seen.png")
    result = wrap(
        network, *CLASSES, "--yes", "--image", chest, "--show", shown, "--range", "0,255", "--normalise", "none"
    )
    assert result.exit_code == 0, result.output
    description, _ = read_description(network.with_suffix(".toml"))
    assert (description.input.size, description.input.channels, description.input.layout) == (SIDE, 3, "NHWC")
    assert description.input.value_range == (0, 255)
    assert description.output.activation == "none"
    assert description.labels == {"pneumonia": ("other_pneumonia", "tuberculosis"), "normal": ("*",)}
    assert Image.open(shown).size == (SIDE, SIDE)
    low, high = (float(word) for word in re.findall(r"numbers from ([\d.]+) to ([\d.]+)\.", result.output)[0])
    assert 30 <= low < 60
    assert 190 < high <= 220
    opened = open_other_model(str(network))
    model = opened.model
    (given,) = model.probabilities(
        model.logits([model.prepare_checked(model.check_with_networks(model.read(chest)))])
    )
    for name, probability in zip(model.classes, given, strict=True):
        assert f"{name} {probability:.3f}" in result.output


def test_questions_are_asked_with_the_guesses_as_answers(network: Path, chest: Path) -> None:
    answers = "\n".join(["", "", "", "pad", "0,255", "0.5,0.25", "covid19, flu, none", "", "", "flu", ""])
    result = wrap(network, "--image", chest, answers=answers)
    assert result.exit_code == 0, result.output
    description, _ = read_description(network.with_suffix(".toml"))
    assert description.input.geometry == "pad"
    assert (description.input.mean, description.input.std) == ((0.5,), (0.25,))
    assert description.output.classes == ("covid19", "flu", "none")
    assert description.target == "flu"


def test_a_multi_label_network_says_which_number_is_read(tmp_path: Path, chest: Path) -> None:
    network = tmp_path / "many.onnx"
    network.write_bytes(convolutional(ends_in="Sigmoid").SerializeToString())
    names = ("--class", "Edema", "--class", "Pneumonia", "--class", "Nodule")
    result = wrap(network, *names, "--reads", "Pneumonia", "--yes", "--image", chest)
    assert result.exit_code == 0, result.output
    description, _ = read_description(network.with_suffix(".toml"))
    assert description.output.multi_label
    assert description.classes == ("Pneumonia", "other")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--yes",), "name its 3 classes in their order"),
        (("--yes", "--class", "covid19", "--class", "normal"), "gives 3 numbers, and 2 classes are described"),
        (("--yes", *CLASSES, "--range", "0"), "--range 0: isn't two numbers"),
        (("--yes", *CLASSES, "--activation", "tanh"), "output.activation"),
        (("--yes", *CLASSES, "--size", "64"), "not n x 64 x 64 x 3 as described"),
        (("--yes", *CLASSES, "--target", "flu"), "target is flu"),
        (("--yes", *CLASSES, "--out", "/tmp/elsewhere.toml"), "isn't beside the network"),
    ],
)
def test_what_cant_be_is_one_sentence_and_nothing_is_written(
    network: Path, chest: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = wrap(network, *arguments, "--image", chest)
    assert result.exit_code == 3
    assert said in result.output
    assert "Traceback" not in result.output
    assert not network.with_suffix(".toml").exists()


def test_a_description_is_never_overwritten(network: Path, chest: Path) -> None:
    network.with_suffix(".toml").write_text("mine")
    result = wrap(network, *CLASSES, "--yes", "--image", chest)
    assert result.exit_code == 3
    assert network.with_suffix(".toml").read_text() == "mine"
