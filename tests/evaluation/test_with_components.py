"""The whole command on phantoms, by packages with lung fields and a measure of familiarity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lungsight.cli import app
from lungsight.components.ood import OODDescription
from lungsight.datasets.manifest import Manifest
from lungsight.evaluation.answer_store import FILE, AnswerStore
from lungsight.evaluation.testset.predict import predict_manifest_images
from lungsight.inference import Detector
from lungsight.package import Preprocessing
from lungsight.package.storage import FAMILIARITY
from lungsight.package.storage import LUNG_FIELDS as LUNG_FIELDS_FILE
from lungsight.training.fit_ood import fit_ood_detector
from tiny_package import write_tiny
from tiny_parts import LUNG_FIELDS, tiny_lung_fields

CLASSES = {name: [name] for name in ("covid19", "other_pneumonia", "no_pneumonia")}


def lungsight(*arguments: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == status, done.output
    return done.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds phantoms of two hospitals; ``unmasked.csv``, the same without masks; three packages."""
    folder = tmp_path_factory.mktemp("phantoms")
    lungsight("phantom", "--out", str(folder / "phantoms"), "--patients", "44", "--size", "128")
    manifest = Manifest.read(folder / "phantoms" / "manifest.csv").with_columns(lung_mask="")
    manifest.write(folder / "unmasked.csv")
    recipe = {"backbone": "tiny", "classes": CLASSES}
    lungs = {LUNG_FIELDS_FILE: tiny_lung_fields()}
    write_tiny(folder / "plain", recipe=recipe)
    stated = {"recipe": recipe, "lung_fields": LUNG_FIELDS}
    write_tiny(folder / "beside", parts=lungs, **stated)
    stated["preprocessing"] = Preprocessing(image_size=32, geometry="lungs")
    described, stored = familiarity_of(write_tiny(folder / "unmeasured", parts=lungs, **stated), manifest)
    write_tiny(folder / "cropping", parts=lungs | {FAMILIARITY: stored}, familiarity=described, **stated)
    return folder


def familiarity_of(package: Path, manifest: Manifest) -> tuple[OODDescription, bytes]:
    """Half of these phantoms lie beyond its threshold."""
    features = predict_manifest_images(Detector.load(package, 1, features=True), manifest).features
    assert features is not None
    return fit_ood_detector(features, np.arange(len(features)) % 2, features, percentile=50)


def evaluated(folder: Path, package: str, out: str, *more: str, data: str = "unmasked.csv") -> dict[str, Any]:
    fixed = (
        "--data",
        str(folder / data),
        "--replicates",
        "100",
        "--audit-images",
        "60",
        "--out",
        str(folder / "tested" / out),
    )
    lungsight("evaluate", str(folder / package), *fixed, *more)
    stated: dict[str, Any] = json.loads((folder / "tested" / out / "evidence.json").read_text())
    return stated


def answers(folder: Path) -> list[tuple[str, bytes]]:
    with AnswerStore.open(folder / FILE) as store:
        found: list[tuple[str, bytes]] = store.database.execute("SELECT * FROM answers ORDER BY key").fetchall()
    assert found
    return found


def audit(stated: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in stated["audits"] if one["name"] == name)


def test_a_cropping_model_with_its_own_lungs(folder: Path) -> None:
    stated = evaluated(folder, "cropping", "cropped")
    hidden = audit(stated, "lungs hidden")
    assert {row["metric"] for row in hidden["table"]} >= {"auroc_within", "share_left"}
    assert "found by a network" in hidden["meaning"]
    assert "in the box around the lungs of the unaltered one" in hidden["meaning"]
    looks = audit(stated, "where it looks")
    assert {row["region"] for row in looks["table"]} == {"lungs", "lesions"}
    guarded = stated["sections"]["flow"]["tables"]
    assert {row["metric"] for row in guarded["safeguards"]} == {
        "refused",
        "unfamiliar",
        "without_plausible_lungs",
    }
    predictions = pd.read_csv(folder / "tested" / "cropped" / "predictions.csv", keep_default_na=False)
    whole = next(r for r in guarded["safeguards"] if r["metric"] == "unfamiliar" and r["truth"] == "every class")
    far = predictions[predictions["kind"] == whole["kind"]]["unfamiliar"]
    assert 0 < far.mean() < 1
    assert whole["value"] == pytest.approx(far.mean())
    assert {row["images"] for row in guarded["without_refused"]} == {
        "every image",
        "without refused",
        "without refused and unfamiliar",
    }
    verdicts = pd.DataFrame(stated["sections"]["decision"]["tables"]["verdicts"])
    said = verdicts.groupby(["kind", "source", "truth"])["value"].sum()
    assert said.to_numpy() == pytest.approx(1)
    assert "verdict_inconclusive" in set(verdicts["metric"])
    kept = answers(folder / "tested" / "cropped")
    assert evaluated(folder, "cropping", "cropped")["audits"] == stated["audits"]
    assert answers(folder / "tested" / "cropped") == kept
    page = (folder / "tested" / "cropped" / "index.html").read_text()
    assert "are unlike the training images" in page


@pytest.mark.slow
def test_another_packages_lung_fields_are_used_by_the_audits_alone(folder: Path) -> None:
    without = evaluated(folder, "plain", "plain")
    assert audit(without, "lungs hidden")["call"] == "not done"
    borrowed = evaluated(folder, "plain", "borrowed", "--lung-fields", str(folder / "beside"))
    assert "found by a network" in audit(borrowed, "lungs hidden")["meaning"]
    for table in ("metrics", "one_against_one"):
        of_both = (one["sections"]["discrimination"]["tables"][table] for one in (without, borrowed))
        assert next(of_both) == next(of_both)

    masked = evaluated(folder, "plain", "plain", data="phantoms/manifest.csv")
    assert "from the manifest's masks" in audit(masked, "lungs hidden")["meaning"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("plain", "--lung-fields", "plain"), "holds no lung segmentation; give a package that does"),
        (("plain", "--lung-fields", "nothing-here"), "nothing-here"),
    ],
)
def test_bad_lung_fields_get_one_sentence(folder: Path, arguments: tuple[str, ...], sentence: str) -> None:
    package, *options = arguments
    options = [str(folder / each) if (folder / each).exists() else each for each in options]
    fixed = ("--data", str(folder / "unmasked.csv"), "--out", str(folder / "bad"))
    said = lungsight("evaluate", str(folder / package), *fixed, *options, status=3)
    assert sentence in said
    assert "Traceback" not in said
    assert not (folder / "bad").exists()
