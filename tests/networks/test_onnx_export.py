from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from lungsight.networks.onnx_export import round_to_half, store_as_half, without_traces


def model_of(weights: NDArray[np.float32], *, listed: bool = False) -> onnx.ModelProto:
    """``out = x @ weights + 1``; ``listed`` names the initialiser among the inputs, as old files do."""
    bias = np.ones(weights.shape[1], np.float32)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", weights.shape[0]])]
    if listed:
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, weights.shape))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["y", "b"], ["out"])],
        "linear",
        inputs,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", weights.shape[1]])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def answer(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e3]), listed=st.booleans())
def test_the_stored_network_says_what_the_rounded_one_says(seed: int, scale: float, listed: bool) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, scale, (24, 16)).astype(np.float32)
    x = rng.normal(size=(3, 24)).astype(np.float32)
    stored = store_as_half(model_of(weights, listed=listed))
    onnx.checker.check_model(stored)
    rounded = weights.astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(answer(stored, x), answer(model_of(rounded), x), rtol=1e-5, atol=1e-6 * scale)


def test_it_takes_half_the_space_and_leaves_the_original_alone() -> None:
    model = model_of(np.random.default_rng(0).normal(size=(256, 128)).astype(np.float32))
    before = model.SerializeToString()
    assert len(store_as_half(model).SerializeToString()) < 0.55 * len(before)
    assert model.SerializeToString() == before


def test_values_beyond_float16_and_small_tensors_stay_float32() -> None:
    weights = np.full((32, 32), 1e5, np.float32)
    stored = store_as_half(model_of(weights))
    assert {tensor.name: tensor.data_type for tensor in stored.graph.initializer} == {
        "w": TensorProto.FLOAT,
        "b": TensorProto.FLOAT,
    }


def test_rounding_a_network_touches_what_is_stored_as_half_and_nothing_else() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16))
    bias, kernel = network[0].bias.clone(), network[0].weight.clone()
    network[1].running_var.fill_(1e6)
    round_to_half(network)
    assert torch.equal(network[0].bias, bias)
    assert torch.equal(network[1].running_var, torch.full((16,), 1e6))
    assert torch.equal(network[0].weight, kernel.half().float())
    assert not torch.equal(network[0].weight, kernel)


def test_traces_are_gone_and_the_answer_stays() -> None:
    model = model_of(np.eye(16, dtype=np.float32))
    note = model.graph.node[0].metadata_props.add()
    note.key, note.value = "pkg.torch.onnx.stack_trace", "File /home/somebody/network.py"
    bare = without_traces(model)
    assert b"somebody" in model.SerializeToString()
    assert b"somebody" not in bare.SerializeToString()
    x = np.ones((1, 16), np.float32)
    np.testing.assert_array_equal(answer(bare, x), answer(model, x))
