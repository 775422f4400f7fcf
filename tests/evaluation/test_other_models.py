"""Somebody else's model goes through the whole test: what can be asked is asked, the rest says why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lungsight.api import evaluate
from lungsight.components.onnx_description import OtherModelError
from lungsight.datasets.manifest import Manifest
from lungsight.errors import LungsightError, ManifestError
from lungsight.evaluation.audits.audit import Audit, AuditResult
from lungsight.evaluation.evaluate import Settings, evaluate_model
from lungsight.evaluation.evidence import Evidence
from lungsight.evaluation.other_models import Options, function_model, is_other_model, open_other_model
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.outcomes import probability_column
from other_onnx import convolutional, described_as

FEW = Settings(resampling=Resampling(replicates=100), audit_images=24, pictures=False)
CLASSES = {"covid19": ["covid19"], "other": ["*"]}
#: What is asked of a model's heatmaps, features or weights.
INSIDE = {"where it looks", "does the heatmap follow the model", "whose image is it"}


def brightness(images: list[np.ndarray]) -> list[float]:
    return [float(1 / (1 + np.exp(-16 * (image.mean() - 0.5)))) for image in images]


@pytest.fixture
def rows(films: Callable[[Sequence[Any]], pd.DataFrame], film: type, tmp_path: Path) -> pd.DataFrame:
    """Bright films have the disease; every film has a mask of two lungs."""
    mask = np.zeros((80, 96), np.uint8)
    mask[20:60, 12:40] = mask[20:60, 56:84] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    wanted = [film("covid19", 0.6 + i / 100, f"p{i}", source) for i in range(12) for source in ("north", "south")]
    wanted += [
        film("no_pneumonia", 0.3 + i / 100, f"n{i}", source) for i in range(12) for source in ("north", "south")
    ]
    return films(wanted).assign(lung_mask=str(tmp_path / "mask.png"))


def by_name(evidence: Evidence) -> dict[str, Audit]:
    return {audit.name: audit for audit in evidence.audits}


def asked(evidence: Evidence) -> set[str]:
    return {audit.name for audit in evidence.audits if audit.call is not AuditResult.NOT_DONE}


def test_a_function_is_asked_all_that_needs_only_predictions(rows: pd.DataFrame, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evidence = evaluate(
        brightness, Manifest.of(rows, "films"), out, FEW, classes=CLASSES, target="covid19", trained_sources=["north"]
    )
    assert (out / "index.html").is_file()
    kinds = evidence.testset.table.groupby("source")["kind"].unique()
    assert {source: list(kind) for source, kind in kinds.items()} == {"north": ["internal"], "south": ["external"]}
    score = evidence.testset.table[probability_column("covid19")]
    assert score.to_numpy() == pytest.approx(
        brightness([np.asarray(Image.open(path), np.float32) / 255 for path in rows["path"]]), abs=1e-5
    )
    audits = by_name(evidence)
    assert {"lungs hidden", "only the border", "stress"} <= asked(evidence)
    for name in INSIDE:
        assert audits[name].call is AuditResult.NOT_DONE
        assert "function" in audits[name].meaning
    assert "verdict" not in evidence.testset.table
    assert any("without a version" in notice for notice in evidence.notices)


def test_what_a_function_gives_is_kept_only_under_a_version(rows: pd.DataFrame, tmp_path: Path) -> None:
    seen: list[int] = []

    def counting(images: list[np.ndarray]) -> list[float]:
        seen.append(len(images))
        return brightness(images)

    def run(version: str) -> int:
        seen.clear()
        opened = function_model(counting, "counting", CLASSES, "covid19", version=version)
        evaluate_model(opened, [Manifest.of(rows.iloc[::4], "films")], tmp_path / "out", FEW)
        return sum(seen)

    assert run("1") > 0
    assert run("1") == 0
    assert run("") > 0


def test_an_onnx_network_with_maps_is_asked_everything(rows: pd.DataFrame, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(convolutional(classes=2).SerializeToString())
    stated = described_as(
        output={"classes": ("covid19", "other")}, labels={"other": ("*",)}, trained_sources=("north",),
        decision={"low": 0.2, "high": 0.6},
    )  # fmt: skip
    (tmp_path / "model.toml").write_text(stated.as_toml())
    opened = open_other_model(str(tmp_path / "model.onnx"))
    evidence = evaluate_model(opened, [Manifest.of(rows, "films")], tmp_path / "out", FEW)
    assert asked(evidence) >= {"where it looks", "does the heatmap follow the model"}
    assert evidence.testset.features is not None
    assert set(evidence.testset.table["verdict"]) <= {"covid19", "other", "inconclusive"}
    assert set(evidence.testset.table["kind"]) == {"internal", "external"}


def written(folder: Path, content: str) -> str:
    (folder / "mine.py").write_text(content)
    return f"{folder / 'mine.py'}:predict"


def test_a_file_says_what_its_function_gives(tmp_path: Path) -> None:
    program = (
        "import numpy as np\nfrom helper import gain\nCLASSES = {'covid19': ['covid19'], 'other': ['*']}\n"
        "VERSION = '3'\ndef predict(images):\n    return np.array([gain * image.mean() for image in images])\n"
        "def features(images):\n    return np.array([[image.mean(), image.std()] for image in images])\n"
    )
    (tmp_path / "helper.py").write_text("gain = 1.0\n")
    name = written(tmp_path, program)
    assert is_other_model(name)
    opened = open_other_model(name)
    assert opened.kept
    assert opened.model.target == "covid19"
    assert dict(opened.labels) == CLASSES
    assert "features" not in opened.model.lacks
    assert open_other_model(name, Options(version="4")).model.model != opened.model.model
    images = [np.full((40, 50), grey, np.float32) for grey in (0.25, 0.75)]
    assert opened.model.probabilities(opened.model.logits(images))[:, 0] == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import absent_library", "can't be run (ModuleNotFoundError: No module named 'absent_library')"),
        ("CLASSES = ['a', 'b']", "has no function predict"),
        ("def predict(images): ...", "doesn't say what its classes are"),
        ("CLASSES = ['covid19']\ndef predict(images): ...", "has one class only"),
        ("CLASSES = ['a', 'b']\nTARGET = 'c'\ndef predict(images): ...", "c isn't one of its classes"),
    ],
)
def test_a_file_that_cant_be_used_is_one_sentence(tmp_path: Path, program: str, said: str) -> None:
    with pytest.raises(LungsightError) as caught:
        open_other_model(written(tmp_path, program))
    assert said in str(caught.value)


def test_names_of_what_isnt_there_are_one_sentence(tmp_path: Path) -> None:
    for name, said in (
        (tmp_path / "absent.onnx", "there is no such file"),
        (tmp_path / "absent.toml", "there is no such file"),
        (f"{tmp_path / 'absent.py'}:predict", "there is no such file"),
    ):
        with pytest.raises(OtherModelError, match=said):
            open_other_model(str(name))
    (tmp_path / "bare.onnx").write_bytes(convolutional().SerializeToString())
    with pytest.raises(OtherModelError, match=r"lungsight package wrap"):
        open_other_model(str(tmp_path / "bare.onnx"))
    assert not is_other_model("released")
    assert not is_other_model(str(tmp_path))


def test_the_users_labels_and_target_replace_the_descriptions(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(convolutional(ends_in="Sigmoid").SerializeToString())
    output = {"classes": ("Edema", "Pneumonia", "Nodule"), "activation": "none", "multi_label": True}
    (tmp_path / "model.toml").write_text(described_as(output=output, target="Pneumonia").as_toml())
    name = str(tmp_path / "model.toml")
    assert open_other_model(name).model.classes == ("Pneumonia", "other")
    opened = open_other_model(name, Options(classes={"sick": ["covid19"], "well": ["*"]}))
    assert opened.model.classes == ("sick", "well")
    assert opened.model.target == "sick"
    image = np.random.default_rng(0).uniform(0, 1, (40, 40)).astype(np.float32)
    prepared = [opened.model.prepare_pixels(image)]
    same = open_other_model(name, Options(target="Nodule")).model
    assert opened.model.logits(prepared) == pytest.approx(open_other_model(name).model.logits(prepared))
    assert same.classes == ("Nodule", "other")
    assert same.logits(prepared) != pytest.approx(opened.model.logits(prepared))
    (tmp_path / "model.toml").write_text(described_as(output={"classes": ("covid19", "b", "c")}).as_toml())
    with pytest.raises(OtherModelError, match="labels names flu"):
        open_other_model(name, Options(classes={"flu": ["x"]}))


def test_a_target_that_is_no_class_is_refused(rows: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="isn't one of its classes"):
        evaluate(brightness, Manifest.of(rows, "films"), tmp_path, replace(FEW, target="flu"), classes=CLASSES)
