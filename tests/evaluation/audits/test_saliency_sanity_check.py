"""Does the heatmap follow the model: one that does passes, an edge detector fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import AnswerStore
from lungsight.evaluation.audits.audit import AuditAnswer, AuditInput, AuditResult
from lungsight.evaluation.audits.saliency_sanity_check import ABSOLUTE, SIGNED, saliency_sanity_check
from lungsight.evaluation.audits.weight_shuffling import ShuffledNetwork
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.inference import Detector
from lungsight.package import ModelPackage, Network, Preprocessing
from lungsight.reporting.tables import frame
from lungsight.statistics.bootstrap import Resampling
from tiny_package import CLASSES, SIDE, tiny_network, write_tiny

FEW = Resampling(replicates=300)


def network_of(nodes: Sequence[onnx.NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    """From ``nodes`` that make ``maps``; the logits are their means plus a bias."""
    ending = [
        helper.make_node("GlobalAveragePool", ["maps"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["logits"]),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, "side", "side"])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(CLASSES)]),
        helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", len(CLASSES), "h", "w"]),
    ]
    values = {"bias": np.linspace(-0.4, 0.3, len(CLASSES)), **constants}
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    graph = helper.make_graph([*nodes, *ending], "net", [pixels], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def edge_detector() -> onnx.ModelProto:
    """Its heatmap is how much each place differs from its neighbours: the weights only scale it."""
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["around"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Sub", ["pixels", "around"], ["difference"]),
        helper.make_node("Abs", ["difference"], ["edges"]),
        helper.make_node("AveragePool", ["edges"], ["coarse"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Conv", ["coarse", "gain"], ["maps"]),
    ]
    return network_of(nodes, {"gain": np.array([7.0, -2.0, 0.5]).reshape(3, 1, 1, 1)})


def stripe_detector() -> onnx.ModelProto:
    """It has learned something: upright edges speak for the target, level ones against it."""
    x = np.arange(-4, 5)
    smooth, slope = np.exp(-(x**2) / 8), x * np.exp(-(x**2) / 8)
    upright = np.outer(smooth, slope)
    filters = np.stack([upright, -upright, upright.T, -upright.T])[:, None]
    weigh = np.array([[1, 1.1, -1, -1.1], [-0.6, -0.7, 0.5, 0.6], [0.1, 0, 0.2, -0.1]])[:, :, None, None]
    nodes = [
        helper.make_node("Conv", ["pixels", "filters"], ["seen"]),
        helper.make_node("Relu", ["seen"], ["active"]),
        helper.make_node("AveragePool", ["active"], ["coarse"], kernel_shape=[11, 11], strides=[11, 11]),
        helper.make_node("Conv", ["coarse", "weigh"], ["maps"]),
    ]
    return network_of(nodes, {"filters": filters, "weigh": weigh})


def films(folder: Path, count: int) -> pd.DataFrame:
    folder.mkdir(exist_ok=True)
    rows = []
    for i in range(count):
        field = cv2.GaussianBlur(np.random.default_rng(i).normal(size=(96, 96)), (0, 0), 3)
        pixels = np.clip(0.5 + field / field.std() / 6, 0, 1)
        Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(folder / f"{i}.png")
        rows.append(
            {"path": str(folder / f"{i}.png"), "label": CLASSES[i % 3], "patient": f"p{i}", "source": "north"}
        )
    return pd.DataFrame(rows)


def judged_by(folder: Path, model: onnx.ModelProto, count: int = 12) -> AuditInput:
    package = ModelPackage.open(write_tiny(folder / "package", model, preprocessing=Preprocessing(image_size=96)))
    manifest = Manifest.of(films(folder / "images", count), "films")
    manifest = manifest.with_columns(truth=manifest.table["label"])
    detector = Detector.load(package, 1, features=True)
    testset = predict_manifest_images(detector, manifest).with_columns(kind="external")
    return AuditInput(testset, FEW, detector)


def value_of(audit: AuditAnswer, metric: str, depth: int) -> float:
    (row,) = (r for r in audit.rows if r.estimate.name == metric and r.labels["layers_shuffled"] == depth)
    assert row.estimate.value is not None
    return row.estimate.value


def test_an_edge_detector_fails(tmp_path: Path) -> None:
    given = judged_by(tmp_path, edge_detector())
    audit = saliency_sanity_check(given)
    assert audit.call is AuditResult.FOUND
    assert audit.meaning.startswith("FAILED")
    assert value_of(audit, SIGNED, 1) == pytest.approx(1)
    assert value_of(audit, ABSOLUTE, 1) == pytest.approx(1)
    assert value_of(audit, "another_patients_absolute", 1) < 0.5


def test_a_network_that_learned_passes(tmp_path: Path) -> None:
    given = judged_by(tmp_path, stripe_detector())
    audit = saliency_sanity_check(given, shuffles=8)
    assert audit.call is AuditResult.NOT_FOUND, audit.meaning
    assert audit.effect is not None
    assert audit.effect.high is not None
    assert audit.effect.high < 0.5
    assert {row.labels["layers_shuffled"] for row in audit.rows} == {1, 2}
    assert audit.images == 12


def test_what_was_shuffled_is_not_shuffled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = judged_by(tmp_path, stripe_detector(), 4)
    done: list[tuple[str, int, int]] = []
    ran: list[int] = []
    run = Network.run
    monkeypatch.setattr(Network, "run", lambda self, pixels: ran.append(1) or run(self, pixels))
    with AnswerStore.open(tmp_path / "a.sqlite") as store:
        kept = replace(given, store=store, progress=lambda *step: done.append(step))
        first = saliency_sanity_check(kept, shuffles=2)
        assert [step[1:] for step in done] == [(1, 4), (2, 4), (3, 4), (4, 4)]
        assert len(ran) == 5  # the trained network, and two shuffled ones of two layers each
        store.database.execute("DELETE FROM answers WHERE key LIKE '%, 1, 2]'")
        ran.clear()
        second = saliency_sanity_check(kept, shuffles=2)
    assert len(ran) == 2  # the trained network, and the one whose answer was lost
    pd.testing.assert_frame_equal(frame(first.rows), frame(second.rows))


def test_too_little_to_go_by(tmp_path: Path) -> None:
    given = judged_by(tmp_path, stripe_detector(), 1)
    one = saliency_sanity_check(given, shuffles=2)
    assert one.call in (AuditResult.FOUND, AuditResult.NOT_SHOWN)
    assert "can't be said" in one.meaning or "FAILED" in one.meaning
    assert one.effect is not None
    assert one.effect.low is None
    nothing = replace(given, testset=given.testset.where(np.array([False])))
    assert saliency_sanity_check(nothing).call is AuditResult.NOT_DONE
    Path(given.testset.table["path"][0]).unlink()
    assert saliency_sanity_check(given).call is AuditResult.NOT_DONE


def test_a_network_whose_maps_are_flat_is_not_judged(tmp_path: Path) -> None:
    flat = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["mean"]),
        helper.make_node("Conv", ["mean", "gain"], ["maps"]),
    ]
    given = judged_by(tmp_path, network_of(flat, {"gain": np.arange(1.0, 4).reshape(3, 1, 1, 1)}), 3)
    audit = saliency_sanity_check(given)
    assert audit.call is AuditResult.NOT_DONE
    assert "the same everywhere" in audit.meaning


def test_shuffling_keeps_values_and_goes_from_the_last_layer_to_the_first() -> None:
    content = tiny_network().SerializeToString()
    network = ShuffledNetwork(content)
    assert network.layers == (("features",), ("classes",))  # the bias is added after the maps
    tensors = {
        last: {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(file).graph.initializer}
        for last, file in ((n, network.shuffled(n, 7)) for n in (0, 1, 2))
    }
    for name in ("features", "classes", "bias"):
        np.testing.assert_array_equal(np.sort(tensors[0][name].ravel()), np.sort(tensors[2][name].ravel()))
    assert (tensors[1]["features"] == tensors[0]["features"]).all()
    assert (tensors[1]["classes"] != tensors[0]["classes"]).any()
    np.testing.assert_array_equal(tensors[1]["classes"], tensors[2]["classes"])
    assert (tensors[2]["features"] != tensors[0]["features"]).any()
    assert (tensors[2]["bias"] == tensors[0]["bias"]).all()
    pixels = np.random.default_rng(0).random((1, 1, SIDE, SIDE)).astype(np.float32)
    np.testing.assert_array_equal(
        Network(network.shuffled(0, 7), 1).run(pixels).maps, Network(content, 1).run(pixels).maps
    )


def test_weights_that_are_stored_as_float16_are_shuffled_too() -> None:
    whole = tiny_network()
    names = [name for layer in ShuffledNetwork(whole.SerializeToString()).layers for name in layer]
    halved = onnx.ModelProto()
    halved.CopyFrom(whole)
    casts = []
    for tensor in halved.graph.initializer:
        if tensor.name in names:
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
            tensor.CopyFrom(half)
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    network = ShuffledNetwork(halved.SerializeToString())
    assert [name for layer in network.layers for name in layer] == names
    pixels = np.random.default_rng(0).random((1, 1, SIDE, SIDE)).astype(np.float32)
    same, changed = (Network(network.shuffled(n, 7), 1).run(pixels).maps for n in (0, 2))
    np.testing.assert_allclose(same, Network(halved.SerializeToString(), 1).run(pixels).maps, atol=1e-6)
    assert np.abs(changed - same).max() > 1e-3
