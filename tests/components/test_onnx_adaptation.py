"""An ONNX classifier from elsewhere gives, once extended, what it gives by itself for the same image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lungsight.components.onnx_description import OnnxDescription, OtherModelError, described, read_description
from lungsight.components.onnx_predictor import OnnxPredictor
from lungsight.components.predictor import FEATURES, MAPS, WEIGHTS
from other_onnx import SIDE, convolutional, described_as

CLASSES = ("covid19", "pneumonia", "normal")


def predictor(network: onnx.ModelProto, **stated: Any) -> OnnxPredictor:
    return OnnxPredictor(network.SerializeToString(), described_as(**stated), "model.onnx", threads=1)


def images(n: int = 3) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 1, (n, 1, SIDE, SIDE)).astype(np.float32)


def by_itself(network: onnx.ModelProto, seen: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.asarray(session.run(None, {name: seen.astype(np.float32)})[0])


def softmax(z: np.ndarray) -> np.ndarray:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("ends_in", ["", "Softmax"])
def test_probabilities_are_those_of_the_network_itself(layout: str, ends_in: str) -> None:
    network = convolutional(channels=3, layout=layout, ends_in=ends_in)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    stated = {"layout": layout, "channels": 3, "range": (0, 255), "mean": mean, "std": std}
    output = {"classes": CLASSES, "activation": "none" if ends_in else "softmax"}
    found = predictor(network, input=stated, output=output).run(images())
    seen = (255 * images() - np.reshape(mean, (1, 3, 1, 1))) / np.reshape(std, (1, 3, 1, 1))
    given = by_itself(network, seen if layout == "NCHW" else seen.transpose(0, 2, 3, 1))
    assert softmax(found.logits) == pytest.approx(given if ends_in else softmax(given), abs=1e-5)


@pytest.mark.parametrize("pool", ["GlobalAveragePool", "ReduceMean"])
@pytest.mark.parametrize("linear", ["Gemm", "MatMul"])
def test_maps_add_up_to_the_logits_and_features_are_what_the_last_layer_weighs(pool: str, linear: str) -> None:
    one = predictor(convolutional(pool=pool, linear=linear), output={"classes": CLASSES})
    found = one.run(images())
    assert one.lacks == {}
    assert found.maps is not None
    assert found.maps.shape[:2] == (3, 3)
    bias = found.logits - found.maps.mean(axis=(2, 3))
    assert np.ptp(bias, axis=0) == pytest.approx(0, abs=1e-4)
    assert found.features is not None
    assert found.features.shape == (3, 4)


def test_a_network_without_average_over_places_has_no_maps_and_says_why() -> None:
    one = predictor(convolutional(pool="GlobalMaxPool"), output={"classes": CLASSES})
    found = one.run(images())
    assert found.maps is None
    assert found.features is not None
    assert set(one.lacks) == {MAPS, WEIGHTS}
    assert one.lacks[MAPS].endswith(".")
    alone = predictor(
        convolutional(linear=""), output={"classes": ("a", "b", "c", "d"), "activation": "none"}, target="a"
    )
    assert FEATURES in alone.lacks


def test_one_output_of_a_multi_label_network_is_set_against_its_opposite() -> None:
    network = convolutional(ends_in="Sigmoid")
    output = {
        "classes": ("Edema", "Pneumonia", "Nodule"),
        "activation": "none",
        "multi_label": True,
        "reads": "Pneumonia",
    }
    one = predictor(network, output=output, target="Pneumonia")
    found = one.run(images())
    assert softmax(found.logits)[:, 0] == pytest.approx(by_itself(network, images())[:, 1], abs=1e-5)
    assert found.maps is not None
    assert not found.maps[:, 1].any()
    labels = {"covid19": ("covid19",), "rest": ("*",)}
    renamed = described(
        "m", {"name": "m", "network": "m.onnx", "target": "covid19", "output": output, "labels": labels}
    )
    assert renamed.classes == ("covid19", "rest")
    assert renamed.read == "Pneumonia"
    unsaid = {
        "name": "m",
        "network": "m.onnx",
        "target": "covid19",
        "output": output | {"reads": ""},
        "labels": labels,
    }
    with pytest.raises(OtherModelError, match=r"output.reads must be one of Edema, Pneumonia, Nodule"):
        described("m", unsaid)


def test_a_network_exported_for_one_image_at_a_time_is_run_so() -> None:
    many, single = convolutional(), convolutional(batch=1)
    output = {"classes": CLASSES}
    assert predictor(single, output=output).run(images()).logits == pytest.approx(
        predictor(many, output=output).run(images()).logits, abs=1e-5
    )


def test_tensors_named_like_ours_and_half_precision_do_no_harm() -> None:
    named = convolutional(input_name="pixels", output_name="logits", kind=TensorProto.FLOAT16)
    plain = convolutional()
    output = {"classes": CLASSES}
    ours = predictor(named, output=output | {"name": "logits"}).run(images())
    assert ours.logits == pytest.approx(predictor(plain, output=output).run(images()).logits, abs=0.05)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"input": {"size": 64}}, "its input is n x 1 x 32 x 32|its input is any x 1 x 32 x 32, not n x 1 x 64 x 64"),
        ({"input": {"channels": 3, "size": SIDE}}, "not n x 3 x 32 x 32"),
        ({"output": {"classes": ("covid19", "normal")}}, "gives 3 numbers, and 2 classes"),
        ({"output": {"classes": CLASSES, "name": "absent"}}, "has no output absent"),
    ],
)
def test_a_description_that_doesnt_fit_is_one_sentence(stated: dict[str, Any], said: str) -> None:
    with pytest.raises(OtherModelError, match=said) as caught:
        predictor(convolutional(), **({"output": {"classes": CLASSES}} | stated))
    assert str(caught.value).count(". ") == 0


def test_a_network_that_names_other_files_is_refused() -> None:
    network = convolutional()
    tensor = network.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(OtherModelError, match="another file"):
        predictor(network, output={"classes": CLASSES})


def test_operators_of_others_are_refused() -> None:
    network = convolutional()
    network.graph.node[0].domain = "com.microsoft"
    with pytest.raises(OtherModelError, match="aren't ONNX's own"):
        predictor(network, output={"classes": CLASSES})


def test_another_digest_wherever_a_prediction_may_differ() -> None:
    content = convolutional().SerializeToString()
    one = described_as(output={"classes": CLASSES})
    ids = {
        one.digest(content),
        one.digest(content + b" "),
        described_as(output={"classes": CLASSES}, input={"mean": (0.5,)}).digest(content),
        described_as(output={"classes": CLASSES, "activation": "sigmoid"}).digest(content),
    }
    assert len(ids) == 4
    assert described_as(output={"classes": CLASSES}, trained_sources=("x",)).digest(content) == one.digest(content)


def written(folder: Path, description: OnnxDescription, network: onnx.ModelProto) -> Path:
    (folder / "model.onnx").write_bytes(network.SerializeToString())
    (folder / "model.toml").write_text(description.as_toml())
    return folder / "model.toml"


def test_a_description_is_read_as_it_was_written(tmp_path: Path) -> None:
    stated = described_as(
        output={"classes": ("Covid 19", 'a "quoted" name', "ü")}, target="Covid 19", trained_sources=("north",),
        labels={'a "quoted" name': ("other_pneumonia", "*")}, decision={"low": 0.2, "high": 0.7},
    )  # fmt: skip
    description, content = read_description(written(tmp_path, stated, convolutional()))
    assert description == stated
    assert content == convolutional().SerializeToString()
    assert description.labels_of_classes["Covid 19"] == ("Covid 19",)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("target = 3", "target: "),
        ('target = "flu"', "none of covid19, pneumonia, normal"),
        ("surprise = 1", "surprise: "),
        ('network = "../model.onnx"', "another folder"),
        ('network = "absent.onnx"', "can't be read"),
        (f'sha256 = "{"0" * 64}"', "isn't the file"),
        ("[[", "isn't TOML"),
    ],
)
def test_a_wrong_description_is_one_sentence(tmp_path: Path, change: str, said: str) -> None:
    path = written(tmp_path, described_as(output={"classes": CLASSES}), convolutional())
    key = change.split(" ")[0]
    kept = [line for line in path.read_text().splitlines() if line.split(" ")[0] != key]
    path.write_text("\n".join([change, *kept]))
    with pytest.raises(OtherModelError, match=said):
        read_description(path)


def test_numbers_that_dont_fit_are_named(tmp_path: Path) -> None:
    base = {"name": "m", "network": "m.onnx", "target": "covid19", "output": {"classes": CLASSES}}
    for change, said in (
        ({"input": {"mean": (0.1, 0.2)}}, "mean has 2 numbers"),
        ({"input": {"std": (0.0,)}}, "input.std.0"),
        ({"input": {"range": (1, 1)}}, "two different numbers"),
        ({"output": {"classes": ("covid19",)}}, "softmax of a single number"),
        ({"output": {"classes": ("a", "a")}}, "a name twice"),
        ({"output": {"classes": CLASSES, "reads": "flu"}}, "reads is flu"),
    ):
        with pytest.raises(OtherModelError, match=said):
            described("model.toml", base | change)


def test_uint8_networks_see_bytes() -> None:
    """A network whose input is bytes gets them in 0…255."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["x"], ["grey"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Reshape", ["grey", "shape"], ["score"]),
        ],
        "bytes",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array([-1, 1], np.int64), "shape")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    one = predictor(
        network,
        input={"layout": "NHWC", "range": (0, 255)},
        output={"classes": ("covid19",), "activation": "sigmoid"},
    )
    half = np.full((1, 1, SIDE, SIDE), 0.5, np.float32)
    assert one.run(half).logits[0, 0] == pytest.approx(127, abs=1)
