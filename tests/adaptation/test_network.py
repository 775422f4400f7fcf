"""Another last layer in the network's file."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load, save

from adaptation_fixtures import BIAS, WEIGHTS, halves_network
from lungsight.adaptation.network import weights_changed, with_last_layer_changed
from lungsight.components.classifier import Network, bias_of
from lungsight.components.onnx_safety import UnusableNetworkError
from tiny_package import tiny_network

PIXELS = np.random.default_rng(0).uniform(0, 1, (4, 1, 32, 32)).astype(np.float32)
CHANGE = np.random.default_rng(1).normal(0, 1, (3, 2)), np.array([0.5, -0.25, 2.0])


def stored_as_half(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """As networks are stored: float16 weights with a Cast behind them."""
    (tensor,) = (one for one in model.graph.initializer if one.name == name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half"))
    model.graph.node.insert(0, helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    return model


@pytest.mark.parametrize("half", [False, True])
def test_map_and_logit_stay_one_sum(half: bool) -> None:
    model = stored_as_half(halves_network(), "layer") if half else halves_network()
    onnx.helper.set_model_props(model, {"bias": json.dumps(BIAS.tolist()), "kept": "yes"})
    content = model.SerializeToString()
    before, features = Network(content, features=True).run_with_features(PIXELS)
    changed = with_last_layer_changed(content, *CHANGE)
    network = Network(changed, features=True)
    after, same = network.run_with_features(PIXELS)
    assert np.array_equal(features, same)
    assert np.allclose(after.logits, before.logits + features @ CHANGE[0].T + CHANGE[1], atol=1e-5)
    assert np.allclose(bias_of(after), BIAS + CHANGE[1], atol=1e-5)
    assert np.abs(after.maps - before.maps).max() > 0.1
    written = onnx.load_model_from_string(changed)
    properties = {one.key: one.value for one in written.metadata_props}
    assert json.loads(properties["bias"]) == pytest.approx(BIAS + CHANGE[1])
    assert properties["kept"] == "yes"
    assert len(changed) < len(content) + 200  # the weights that nothing takes any more are gone


def test_a_network_can_be_adapted_again() -> None:
    once = with_last_layer_changed(halves_network().SerializeToString(), *CHANGE)
    twice = with_last_layer_changed(once, -CHANGE[0], -CHANGE[1])
    assert np.allclose(
        Network(twice).run(PIXELS).logits, Network(halves_network().SerializeToString()).run(PIXELS).logits, atol=1e-5
    )


def test_the_stored_weights_change_alike() -> None:
    stored = save(
        {
            "weigh.weight": WEIGHTS[:, :, None, None].astype(np.float16),
            "bias": BIAS.astype(np.float32),
            "other": np.ones(2, np.float32),
        }
    )
    changed = weights_changed(stored, *CHANGE)
    assert np.allclose(changed["weigh.weight"][:, :, 0, 0], WEIGHTS + CHANGE[0], atol=1e-2)
    assert np.allclose(changed["bias"], BIAS + CHANGE[1])
    assert np.array_equal(changed["other"], np.ones(2))
    assert load(save(changed)).keys() == changed.keys()


def test_weights_of_another_kind_stay() -> None:
    stored = save({"bias": BIAS.astype(np.float32)})
    assert np.array_equal(weights_changed(stored, *CHANGE)["bias"], BIAS.astype(np.float32))


def test_a_network_with_another_end_is_refused() -> None:
    model = tiny_network()
    model.graph.node[-1].op_type = "Mul"
    with pytest.raises(UnusableNetworkError, match="bias"):
        with_last_layer_changed(model.SerializeToString(), np.zeros((3, 4)), np.zeros(3))
    with pytest.raises(UnusableNetworkError, match="constant"):
        with_last_layer_changed(tiny_network().SerializeToString(), np.zeros((3, 5)), np.zeros(3))
