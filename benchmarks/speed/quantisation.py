"""What int8 saves and costs: milliseconds of each network, and what is said otherwise of real images that the model
never saw.

    python benchmarks/speed/quantisation.py all.csv --package released --out docs/results/quantisation.csv

``all.csv``: the collections that the package was trained on. Networks are quantised by onnxruntime (static, QDQ,
int8, weights per channel), their ranges taken from validation images of the package; they are judged on other
patients.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest

from lungsight.components.classifier import Network
from lungsight.components.input_gate import OUTPUTS as GATE_OUTPUTS
from lungsight.components.input_gate import Gate
from lungsight.components.lung_segmentation import OUTPUT, LungSegmentation, network_input
from lungsight.components.preprocessing import Preprocessing
from lungsight.components.runtime import open_network, runtimes
from lungsight.inference import Detector, Finding
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage, find_package
from lungsight.package.storage import GATE, LUNG_FIELDS, NETWORK
from lungsight.package.trained_on import patient_digest
from lungsight.radiograph import Radiograph
from lungsight.reading import read_radiograph
from lungsight.scanning.scan import scan_radiograph
from lungsight.statistics.delong import compare_aurocs

Floats = NDArray[np.float32]

NETWORKS = {NETWORK: ("logits", "maps"), LUNG_FIELDS: (OUTPUT,), GATE: GATE_OUTPUTS}
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "float32": (),
    "int8, detector": (NETWORK,),
    "int8, lung fields": (LUNG_FIELDS,),
    "int8, gate": (GATE,),
    "int8, all three": (NETWORK, LUNG_FIELDS, GATE),
}
_LEAST_OF_A_CLASS = 30


@dataclass(frozen=True)
class Row:
    """One figure: ``value`` of ``variant`` with its interval, among ``n``."""

    variant: str
    what: str
    where: str
    n: int
    value: float
    low: float | None = None
    high: float | None = None


class Images(CalibrationDataReader):
    """Hands a network its inputs one by one."""

    def __init__(self, inputs: Sequence[Floats]) -> None:
        self._left = iter(inputs)

    def get_next(self) -> dict[str, Floats] | None:
        return next(({"pixels": one} for one in self._left), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--package", default="released")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--calibration", type=int, default=200, help="validation images to take ranges from")
    parser.add_argument("--images", type=int, default=300, help="most images of each source to judge")
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    package = ModelPackage.open(find_package(given.package))
    ranges, testset = _chosen(pd.read_csv(given.manifest, dtype=str, keep_default_na=False), package, given)
    Console().print(f"{len(ranges)} images for the ranges, {len(testset)} to judge")
    with tempfile.TemporaryDirectory() as scratch:
        small = _quantised(package, [read_radiograph(path) for path in ranges.path], Path(scratch))
    rows = [*_speed(package, small, given.rounds), *_answers(package, small, testset)]
    with given.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row.__dataclass_fields__)
        writer.writerows(
            [
                "" if value is None else round(value, 5) if isinstance(value, float) else value
                for value in vars(row).values()
            ]
            for row in rows
        )


def _chosen(
    table: pd.DataFrame, package: ModelPackage, given: argparse.Namespace
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Validation images of the package, and images of patients that it never saw."""
    seen = {image.patient: image.split for image in package.trained_on}
    side = [
        seen.get(patient_digest(source, patient), "test")
        for source, patient in zip(table.source, table.patient, strict=True)
    ]
    table = table[table.label.isin(package.description.classes)].assign(side=pd.Series(side, index=table.index))
    validation, test = (table[table.side == name] for name in ("validation", "test"))
    testset = test.groupby("source", group_keys=False)[test.columns].apply(
        lambda group: group.sample(n=min(given.images, len(group)), random_state=0)
    )
    return validation.sample(n=min(given.calibration, len(validation)), random_state=0), testset


def _quantised(package: ModelPackage, ranges: Sequence[Radiograph], scratch: Path) -> dict[str, bytes]:
    """Each network in int8, by the name of its file."""
    detector = Detector.load(package, 1)
    gate = package.description.gate
    assert gate is not None
    of_gate = Preprocessing(image_size=gate.image_size, intensity="percentile")
    lungs = package.description.lung_fields
    assert lungs is not None
    prepare: dict[str, Callable[[Radiograph], Floats]] = {
        NETWORK: lambda one: detector.prepare_checked(detector.check_with_networks(one)),
        LUNG_FIELDS: lambda one: network_input(one.pixels, lungs.image_size)[None],
        GATE: lambda one: of_gate.apply(one.pixels)[None],
    }
    return {
        name: _in_int8(package.read(name), [make(one) for one in ranges], scratch) for name, make in prepare.items()
    }


def _in_int8(onnx_file: bytes, inputs: Sequence[Floats], scratch: Path) -> bytes:
    given, folded, small = (scratch / f"{name}.onnx" for name in ("given", "folded", "small"))
    given.write_bytes(_folded(onnx_file, scratch))
    quant_pre_process(given, folded, skip_symbolic_shape=True)
    shaped = [one.reshape(1, 1, *one.shape[-2:]).astype(np.float32) for one in inputs]
    quantize_static(
        folded, small, Images(shaped), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
        nodes_to_exclude=_last_layers(folded),
    )  # fmt: skip
    return small.read_bytes()


def _last_layers(path: Path) -> list[str]:
    """The nodes that give what is asked of the network; they stay float32."""
    graph = onnx.load(path).graph
    asked = {output.name for output in graph.output}
    return [node.name for node in graph.node if asked & set(node.output)]


def _folded(onnx_file: bytes, scratch: Path) -> bytes:
    """Weights kept in float16 as the float32 that they are at work."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(scratch / "optimised.onnx")
    onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    model = onnx.load(scratch / "optimised.onnx")
    domains = {stated.domain: stated for stated in model.opset_import}  # the quantiser stumbles over one named twice
    del model.opset_import[:]
    model.opset_import.extend(domains.values())
    return model.SerializeToString()


def _speed(package: ModelPackage, small: Mapping[str, bytes], rounds: int) -> Iterator[Row]:
    """Milliseconds of one image on one core, in rounds that alternate, and how many times as quick int8 is."""
    sides = {
        NETWORK: package.description.preprocessing.image_size,
        LUNG_FIELDS: package.description.lung_fields.image_size if package.description.lung_fields else 0,
        GATE: package.description.gate.image_size if package.description.gate else 0,
    }
    for name, outputs in NETWORKS.items():
        noise = np.random.default_rng(0).random((1, 1, sides[name], sides[name]), dtype=np.float32)
        for runtime in runtimes():
            pair = [open_network(content, outputs, 1, runtime) for content in (package.read(name), small[name])]
            times = np.array(
                [[_milliseconds(partial(one.run, outputs, noise)) for one in pair] for _ in range(rounds)]
            )
            for variant, column in zip(("float32", "int8"), times.T, strict=True):
                median, low, high = statistics.median(column), column.min(), column.max()
                yield Row(variant, f"ms, {runtime}", name, rounds, float(median), float(low), float(high))
            ratios = times[:, 0] / times[:, 1]
            spread = float(np.median(ratios)), float(ratios.min()), float(ratios.max())
            yield Row("int8", f"times as quick, {runtime}", name, rounds, *spread)


def _milliseconds(call: Callable[[], object], times: int = 20) -> float:
    call()
    started = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - started) / times * 1000


def _answers(package: ModelPackage, small: Mapping[str, bytes], testset: pd.DataFrame) -> Iterator[Row]:
    detectors = {variant: _detector(package, small, names) for variant, names in VARIANTS.items()}
    found: dict[str, list[Finding]] = {variant: [] for variant in VARIANTS}
    for path in track(testset.path, description="judging", console=Console(stderr=True)):
        radiograph = read_radiograph(path)
        for variant, detector in detectors.items():
            found[variant].append(scan_radiograph(radiograph, detector))
    plain = found["float32"]
    for variant, findings in found.items():
        if variant == "float32":
            continue
        changed = sum(one.decision != other.decision for one, other in zip(plain, findings, strict=True))
        interval = binomtest(changed, len(plain)).proportion_ci(method="wilson")
        yield Row(variant, "verdict changed", "all", len(plain), changed / len(plain), interval.low, interval.high)
        yield from _differences(variant, plain, findings, package.description.target)
        yield from _aurocs(variant, plain, findings, testset, package.description.target)


def _detector(package: ModelPackage, small: Mapping[str, bytes], names: Sequence[str]) -> Detector:
    """The package at work, with the networks ``names`` in int8."""
    content = {name: small[name] if name in names else package.read(name) for name in NETWORKS}
    description, familiarity = package.description, package.familiarity()
    assert description.lung_fields is not None
    assert description.gate is not None
    network = Network(content[NETWORK], 1, features=familiarity is not None)
    lung_fields = LungSegmentation(content[LUNG_FIELDS], description.lung_fields, 1)
    return Detector(
        package, network, ImageChecker(lung_fields, Gate(content[GATE], description.gate, 1)), familiarity
    )


def _differences(variant: str, plain: Sequence[Finding], findings: Sequence[Finding], target: str) -> Iterator[Row]:
    """How far the probability of the target moves, where both judge."""
    pairs = [
        (one.probabilities[target], other.probabilities[target])
        for one, other in zip(plain, findings, strict=True)
        if one.probabilities and other.probabilities
    ]
    moved = np.abs(np.subtract(*np.array(pairs).T))
    yield Row(variant, "probability moved, median", "all", len(pairs), float(np.median(moved)))
    yield Row(variant, "probability moved, 99th percentile", "all", len(pairs), float(np.percentile(moved, 99)))
    yield Row(variant, "probability moved, most", "all", len(pairs), float(moved.max()))


def _aurocs(
    variant: str, plain: Sequence[Finding], findings: Sequence[Finding], testset: pd.DataFrame, target: str
) -> Iterator[Row]:
    """AUROC of the target against the rest within each source that has enough of both, and int8's minus float32's."""
    both = np.array([bool(one.probabilities and two.probabilities) for one, two in zip(plain, findings, strict=True)])
    scores = [np.array([one.probabilities.get(target, np.nan) for one in those]) for those in (findings, plain)]
    for source in sorted(set(testset.source)):
        here = both & (testset.source == source).to_numpy()
        positive = (testset.label == target).to_numpy()[here]
        if min(positive.sum(), (~positive).sum()) < _LEAST_OF_A_CLASS:
            continue
        paired = compare_aurocs(scores[0][here], scores[1][here], positive)
        yield Row(variant, "auroc", source, int(here.sum()), paired.first)
        yield Row(variant, "auroc of float32", source, int(here.sum()), paired.second)
        yield Row(
            variant, "auroc minus float32's", source, int(here.sum()), paired.difference, paired.low, paired.high
        )


if __name__ == "__main__":
    main()
