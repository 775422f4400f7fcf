"""A package adapted to a hospital, from manifest to package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load

import lungsight
from adaptation_fixtures import write_halves
from lungsight._files import file_sha256
from lungsight.adaptation import learn
from lungsight.adaptation import prepare as prepare_module
from lungsight.adaptation.adapt import Adaptation, Settings, adapt_package
from lungsight.adaptation.figures import AUROC, BRIER, LEFT_OPEN, Verdict
from lungsight.adaptation.learn import BIAS_ALONE, Step
from lungsight.adaptation.package import WorseError, write_adapted
from lungsight.components.classifier import bias_of
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, PackageError
from lungsight.evaluation import evaluate
from lungsight.evaluation.audits import within_view
from lungsight.evaluation.testset.eligibility import eligible_images
from lungsight.evaluation.testset.testset import DECISION
from lungsight.inference import Detector
from lungsight.package import ModelPackage, TrainedImage
from lungsight.package.storage import WEIGHTS
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import probability_column

MakeHospital = Callable[..., Path]
RESAMPLING = Resampling(replicates=100)
COUNTS = {"covid19": 60, "no_pneumonia": 60}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hospitals state their views: to guess them as well, and all audits and penalties, would take most of the
    time."""
    monkeypatch.setattr(learn, "STRENGTHS", (BIAS_ALONE, 0.1, 0.003))
    monkeypatch.setattr(prepare_module, "package_with_view_classifier", lambda: None)
    monkeypatch.setattr(evaluate, "AUDITS", (within_view.SPEC,))


@pytest.fixture
def adapt(halves: Path, tmp_path: Path) -> Callable[..., Adaptation]:
    """Adapt the package of the left half to a manifest."""

    def adapted(table: Path, package: Path = halves, **settings: object) -> Adaptation:
        stated = {"cache": tmp_path / "cache", "resampling": RESAMPLING} | settings
        return adapt_package(ModelPackage.open(package), [Manifest.read(table)], Settings(**stated))  # type: ignore[arg-type]

    return adapted


def test_a_hospital_where_the_disease_looks_otherwise_gains(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, tmp_path: Path
) -> None:
    adaptation = adapt(make_hospital("hospital", COUNTS), command="lungsight adapt")
    ranking = adaptation.comparison.get(AUROC)
    assert ranking.before.value is not None
    assert ranking.after.value is not None
    assert ranking.difference.low is not None
    assert ranking.before.value < 0.7
    assert ranking.after.value > 0.9
    assert ranking.difference.low > 0
    assert ranking.difference.value == pytest.approx(ranking.after.value - ranking.before.value)
    assert adaptation.comparison.verdict is Verdict.BETTER
    assert adaptation.plan.step is Step.LAST_LAYER
    written = write_adapted(adaptation, tmp_path / "out")
    _is_a_package_of_its_own(written, adaptation)
    _is_what_was_learnt(written, adaptation)
    _adds_up(written)
    _knows_what_it_was_adapted_to(written, adaptation)


def _is_a_package_of_its_own(written: ModelPackage, adaptation: Adaptation) -> None:
    written.verify()
    before, after = adaptation.package.description, written.description
    assert after.name == "halves-adapted"
    assert written.id != adaptation.package.id
    assert after.initial_weights.startswith(f"the package {adaptation.package.id}; last layer")
    assert "120 images of 120 patients of hospital" in after.initial_weights
    assert [source.name for source in after.sources] == ["elsewhere", "hospital"]
    assert after.sources[1].labels == COUNTS
    assert after.recipe == before.recipe
    assert set(written.contents()) == {*adaptation.package.contents(), "evidence.json"}
    evidence = json.loads(written.read("evidence.json"))
    assert evidence["subject"]["model"] == written.id
    assert evidence["verdict"]["grade"] == "internal only"
    assert evidence["adaptation"]["from"] == adaptation.package.id
    assert evidence["adaptation"]["verdict"] == "better"
    assert {one["name"] for one in evidence["adaptation"]["figures"]} >= {"auroc", "auroc_within_view", "ece"}
    assert str(Path(adaptation.prepared.testset.table["path"].iloc[0]).parent) not in json.dumps(evidence)
    assert "## Adapted" in written.model_card
    assert written.verdict is not None
    assert written.verdict.grade == "internal only"


def _is_what_was_learnt(written: ModelPackage, adaptation: Adaptation) -> None:
    """Scanning with the package gives the probabilities of what was learnt from all images."""
    images = adaptation.prepared.testset.table["path"].head(6)
    detector = Detector.load(written, 1)
    findings = detector.analyse([detector.read(path) for path in images])
    scanned = np.array([[finding.probabilities[name] for name in detector.classes] for finding in findings])
    learnt = adaptation.learned.probabilities(adaptation.prepared.images)[: len(images)]
    assert np.allclose(scanned, learnt, atol=0.01)  # features are kept as float16


def _adds_up(written: ModelPackage) -> None:
    """A map's mean plus the bias is the logit, and the heatmap's mean plus its bias the margin."""
    pixels = np.random.default_rng(3).uniform(0, 1, (5, 1, 32, 32)).astype(np.float32)
    outputs = written.network(1).run(pixels)
    stored = load(written.read(WEIGHTS))
    assert np.allclose(bias_of(outputs), stored["bias"], atol=1e-4)
    detector = Detector.load(written, 1)
    radiograph = lungsight.Radiograph(pixels[0, 0], file="noise.png", sha256="0" * 64)
    (answer,) = detector.answer_checked([detector.check_with_networks(radiograph)])
    shown = answer.finding.map
    assert shown is not None
    logits = answer.logits
    margin = logits[0] - logits[1:].mean()
    assert shown.values.mean() + shown.bias == pytest.approx(margin, abs=1e-3)


def _knows_what_it_was_adapted_to(written: ModelPackage, adaptation: Adaptation) -> None:
    assert len(written.trained_on) == 1 + 120
    files = {image.sha256 for image in written.trained_on}
    assert file_sha256(adaptation.prepared.testset.table["path"].iloc[0]) in files
    assert all(image.perceptual_hash for image in written.trained_on[1:])
    manifest = Manifest(adaptation.prepared.testset.table[list(adaptation.prepared.eligible.manifest.table.columns)])
    eligible = eligible_images(manifest, written)
    assert len(eligible.manifest) == 0
    assert {step.reason: step.left_out for step in eligible.flow}[
        "of a patient the model was trained or tuned on"
    ] == 120


def test_figures_are_of_patients_that_an_adaptation_did_not_see(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital
) -> None:
    """What is learnt from an image itself says nothing: with labels that mean nothing, nothing is gained."""
    table = make_hospital("hospital", COUNTS, right=0.0, left=0.25)
    rows = pd.read_csv(table)
    draw = np.random.default_rng(0)
    rows.assign(label=draw.permutation(rows["label"]), patient=range(len(rows))).to_csv(table, index=False)
    adaptation = adapt(table)
    after = adaptation.comparison.get(AUROC).after.value
    assert after is not None
    assert after < 0.65
    images = adaptation.prepared.images
    assert len(adaptation.after.table) == len(images)
    assert adaptation.after.features is None  # none of what the package itself gave is left beside them
    before = adaptation.prepared.testset.table[probability_column("covid19")]
    assert not np.allclose(adaptation.after.table[probability_column("covid19")], before)


def test_an_adaptation_that_is_worse_is_written_only_if_told(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, tmp_path: Path
) -> None:
    adaptation = adapt(make_hospital("hospital", {"covid19": 24, "no_pneumonia": 24}, left=0.12, right=0.0))
    worse = replace(adaptation, comparison=replace(adaptation.comparison, verdict=Verdict.WORSE))
    with pytest.raises(WorseError, match="--even-if-worse"):
        write_adapted(worse, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    written = write_adapted(worse, tmp_path / "out", even_if_worse=True)
    assert json.loads(written.read("evidence.json"))["adaptation"]["verdict"] == "worse"


def test_from_twenty_on_calibration_and_thresholds_are_fitted(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital
) -> None:
    """A hospital with brighter images, where everyone would be called: the bias alone puts that right."""
    table = make_hospital("hospital", {"covid19": 30, "no_pneumonia": 30}, left=0.25, right=0.25)
    adaptation = adapt(table)
    assert adaptation.plan.step is Step.CALIBRATION
    assert adaptation.learned.strength == BIAS_ALONE
    assert (adaptation.learned.change.weights == 0).all()
    assert any("60 images are few" in warning for warning in adaptation.prepared.warnings)
    ranking, error = adaptation.comparison.get(AUROC), adaptation.comparison.get(BRIER)
    assert ranking.difference.value == pytest.approx(0, abs=0.03)  # each fold has a bias of its own
    assert error.after.value is not None
    assert error.before.value is not None
    assert error.after.value < error.before.value
    assert adaptation.comparison.get(LEFT_OPEN).before.value == np.mean(
        adaptation.prepared.testset.table[DECISION] == "inconclusive"
    )


@pytest.mark.parametrize(
    ("counts", "patients", "sentence"),
    [
        ({"covid19": 19, "no_pneumonia": 40}, None, "19 images of 19 patients with COVID-19 can be used"),
        (
            {"covid19": 40, "no_pneumonia": 12, "other_pneumonia": 7},
            None,
            "19 images of 19 patients without COVID-19",
        ),
        ({"covid19": 40, "no_pneumonia": 40}, 9, "40 images of 9 patients with COVID-19"),
    ],
)
def test_too_few_images_are_refused(
    adapt: Callable[..., Adaptation],
    make_hospital: MakeHospital,
    counts: dict[str, int],
    patients: int | None,
    sentence: str,
) -> None:
    with pytest.raises(ManifestError, match=sentence):
        adapt(make_hospital("hospital", counts, patients=patients))


def test_what_cannot_be_learnt_from_is_left_out_and_counted(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, tmp_path: Path
) -> None:
    table = make_hospital("hospital", {"covid19": 36, "no_pneumonia": 34, "atypical": 2})
    rows = pd.read_csv(table)
    first = table.parent / str(rows["path"].iloc[0])
    rows.loc[1, "split"] = "test"
    rows.loc[2, "label"] = ""
    (table.parent / str(rows["path"].iloc[3])).write_bytes(b"not an image")
    rows.loc[4:9, "patient"] = ""
    rows.to_csv(table, index=False)
    seen = TrainedImage.of(file_sha256(first), source="elsewhere", patient="1", split="train")
    adaptation = adapt(table, write_halves(tmp_path / "seen", [seen]))
    left_out = {step.reason: step.left_out for step in adaptation.prepared.eligible.flow if step.left_out}
    assert left_out == {
        "label is of no class of this model": 3,
        "the very file was trained or tuned on": 1,
        "kept for testing by the column split": 1,
        "can't be read or analysed": 1,
    }
    assert len(adaptation.prepared.images) == 66
    assert len(adaptation.prepared.problems) == 1
    assert any("6 of 66 images isn't stated" in warning for warning in adaptation.prepared.warnings)


def test_near_duplicates_under_other_names_are_one_patient(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital
) -> None:
    table = make_hospital("hospital", {"covid19": 30, "no_pneumonia": 30})
    rows = pd.read_csv(table)
    copied = table.parent / "again.png"
    copied.write_bytes((table.parent / str(rows["path"].iloc[0])).read_bytes() + b"\0")  # another file, one image
    again = rows.iloc[[0]].assign(path=copied.name, patient="somebody else")
    pd.concat([rows, again]).to_csv(table, index=False)
    images = adapt(table).prepared.images
    assert len(images) == 61
    assert len(np.unique(images.patients)) == 60
    assert images.patients[0] == images.patients[-1]


def test_images_known_only_not_to_be_of_the_target_count(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, tmp_path: Path
) -> None:
    adaptation = adapt(make_hospital("hospital", {"covid19": 45, "not_covid19": 45}))
    assert not adaptation.prepared.images.certain.all()
    assert set(adaptation.prepared.images.labels) <= {0, 1, 2}
    assert adaptation.comparison.verdict is Verdict.BETTER
    assert write_adapted(adaptation, tmp_path / "out").description.sources[1].labels["not_covid19"] == 45


def test_a_call_that_was_cut_off_predicts_nothing_twice(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_hospital("hospital", {"covid19": 24, "no_pneumonia": 24})
    answered: list[int] = []
    real = Detector.answer_checked

    def counting(self: Detector, checked: list[object], prepared: object = None) -> object:
        answered.append(len(checked))
        if len(answered) == 3:
            raise KeyboardInterrupt
        return real(self, checked, prepared)  # type: ignore[arg-type]

    monkeypatch.setattr(prepare_module.Detector, "answer_checked", counting)
    with pytest.raises(KeyboardInterrupt):
        adapt(table)
    done = sum(answered[:2])
    assert len(adapt(table).prepared.images) == 48
    assert sum(answered[3:]) == 48 - done
    answered.clear()
    adapt(table)
    assert not answered


def test_nothing_that_is_there_is_replaced(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, halves: Path, tmp_path: Path
) -> None:
    adaptation = adapt(make_hospital("hospital", {"covid19": 24, "no_pneumonia": 24}))
    for out, sentence in (
        (halves, "is the package that is adapted"),
        (halves / "inside", "or inside it"),
        (write_halves(tmp_path / "mine", [TrainedImage("1" * 64, "p", "s", "train")]), "holds another model package"),
        (tmp_path / "hospital", "isn't a model package"),
    ):
        with pytest.raises(PackageError, match=sentence):
            write_adapted(adaptation, out, even_if_worse=True)
    out = tmp_path / "out"
    first = write_adapted(adaptation, out, even_if_worse=True)
    assert write_adapted(adaptation, out, even_if_worse=True).id == first.id  # the same command again


@pytest.mark.slow
def test_the_adapted_package_can_be_adapted_again(
    adapt: Callable[..., Adaptation], make_hospital: MakeHospital, tmp_path: Path
) -> None:
    once = write_adapted(adapt(make_hospital("hospital", COUNTS)), tmp_path / "once")
    with pytest.raises(ManifestError, match="of a patient the model was trained or tuned on"):
        adapt(tmp_path / "hospital" / "hospital.csv", once.path)
    other = adapt(make_hospital("other", {"covid19": 24, "no_pneumonia": 24}, seed=1), once.path)
    ranking = other.comparison.get(AUROC)
    assert ranking.before.value is not None
    assert ranking.before.value > 0.9  # what was learnt at the first hospital
    twice = write_adapted(other, tmp_path / "twice", even_if_worse=True)
    assert [source.name for source in twice.description.sources] == ["elsewhere", "hospital", "other"]
    assert len(twice.trained_on) == 1 + 120 + 48


def test_from_python_it_is_one_call(halves: Path, make_hospital: MakeHospital, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache", resampling=RESAMPLING)
    made = lungsight.adapt(
        halves, make_hospital("hospital", COUNTS), tmp_path / "out", name="mine", settings=settings
    )  # fmt: skip
    assert made.description.name == "mine"
    assert made.path == tmp_path / "out"


_WITHOUT_TORCH = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "fastai", "timm"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from lungsight.cli import main
main()
"""


@pytest.mark.slow
def test_it_needs_no_torch(halves: Path, make_hospital: MakeHospital, tmp_path: Path) -> None:
    table = make_hospital("hospital", {"covid19": 24, "no_pneumonia": 24})
    arguments = ["adapt", str(halves), "--data", str(table), "--out", "out", "--cache", "cache"]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, *arguments, "--replicates", "100", "--even-if-worse"],
        cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "package.json").is_file()
