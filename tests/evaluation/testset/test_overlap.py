"""A test image that the model has seen is found, whatever was done to it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from lungsight.datasets.manifest import SIMULATED, Manifest
from lungsight.datasets.phantom import Label, draw
from lungsight.evaluation.testset import overlap as overlaps
from lungsight.evaluation.testset.eligibility import SEEN_BEFORE, Eligible, without_overlap
from lungsight.evaluation.testset.overlap import ALIKE, Match, Overlap, TrainingImages, find_overlap
from lungsight.package import TrainedImage
from lungsight.statistics.outcomes import SHA256, TRUTH


def _saved(seed: int, path: Path) -> Path:
    Image.fromarray(np.round(draw(seed, Label.COVID19, size=192).pixels * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six phantoms trained on, one of them plain; and as test images copies of them, and a stranger."""
    folder = tmp_path_factory.mktemp("overlap")
    for seed in range(5):
        _saved(seed, folder / f"trained{seed}.png")
    Image.new("L", (64, 64), 90).save(folder / "trained5.png")
    with Image.open(folder / "trained0.png") as image:
        image.save(folder / "saved_anew.jpg", quality=40)
    with Image.open(folder / "trained1.png") as image:
        ImageOps.mirror(image).resize((150, 150)).save(folder / "mirrored.png")
    shutil.copy(folder / "trained2.png", folder / "same_file.png")
    _saved(101, folder / "other_film.png")
    _saved(102, folder / "stranger.png")
    Image.new("L", (64, 64), 80).save(folder / "plain.png")
    return folder


@pytest.fixture(scope="module")
def trained(folder: Path) -> TrainingImages:
    rows = pd.DataFrame(
        {
            "path": [str(folder / f"trained{i}.png") for i in range(6)],
            "label": "covid19",
            "source": "north",
            "patient": [f"p{i}" for i in range(6)],
            "split": ["train", "validation", "", "train", "train", "train"],
        }
    )
    return TrainingImages.of_manifest(Manifest.of(rows, "trained"), cache=folder / "cache")


@pytest.fixture(scope="module")
def tested(folder: Path) -> Manifest:
    """Each image with what it should be found to be."""
    rows = pd.DataFrame(
        [
            ("saved_anew.jpg", "a", "elsewhere"),
            ("mirrored.png", "b", "elsewhere"),
            ("same_file.png", "c", "elsewhere"),
            ("other_film.png", "p3", "north"),
            ("stranger.png", "p3", "south"),
            ("plain.png", "d", "south"),
            ("missing.png", "e", "south"),
        ],
        columns=["path", "patient", "source"],
    )
    manifest = Manifest.of(rows.assign(label="covid19"), "tested", folder)
    digests = {str(folder / "same_file.png"): _digest(folder / "same_file.png")}
    return manifest.with_columns(
        **{SHA256: [digests.get(path, "") for path in manifest.table["path"]], TRUTH: "covid19"}
    )


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _found(overlap: Overlap) -> dict[str, list[str]]:
    matches = overlap.matches
    names = matches["path"].map(lambda path: Path(path).name)
    return {how: sorted(names[matches["how"] == how]) for how in set(matches["how"])}


def test_each_kind_of_overlap_is_found_and_nothing_else(
    tested: Manifest, trained: TrainingImages, folder: Path
) -> None:
    overlap = find_overlap(tested, trained, cache=folder / "cache")
    assert _found(overlap) == {
        "same patient": ["other_film.png"],
        "same file": ["same_file.png"],
        "looks the same": ["mirrored.png", "saved_anew.jpg"],
    }
    alike = overlap.matches[overlap.matches["how"] == Match.LOOK_ALIKE].set_index("path")
    assert alike.loc[str(folder / "mirrored.png"), "training_image"] == str(folder / "trained1.png")
    assert alike.loc[str(folder / "mirrored.png"), "training_split"] == "validation"
    assert (alike["distance"] <= ALIKE).all()
    assert overlap.counts["images"].sum() == 4
    assert any("1 of the 6 images trained on have no perceptual hash" in notice for notice in overlap.notices)


def test_what_was_met_before_is_left_out_and_accounted_for(
    tested: Manifest, trained: TrainingImages, folder: Path
) -> None:
    eligible = without_overlap(Eligible(tested, 7, (), {}), trained, cache=folder / "cache")
    assert [(step.reason, step.left_out, step.remain) for step in eligible.flow] == [
        (SEEN_BEFORE[Match.PATIENT], 1, 6),
        (SEEN_BEFORE[Match.FILE], 1, 5),
        (SEEN_BEFORE[Match.LOOK_ALIKE], 2, 3),
    ]
    assert [Path(path).name for path in eligible.manifest.table["path"]] == [
        "stranger.png",
        "plain.png",
        "missing.png",
    ]
    assert eligible.left_out["reason"].value_counts().to_dict() == {
        step.reason: step.left_out for step in eligible.flow
    }


def test_look_alikes_stay_when_asked_for_but_are_listed(
    tested: Manifest, trained: TrainingImages, folder: Path
) -> None:
    kept = without_overlap(Eligible(tested, 7, (), {}), trained, look_alikes=True, cache=folder / "cache")
    assert len(kept.manifest) == 5
    assert kept.overlap is not None
    assert kept.overlap.masks[Match.LOOK_ALIKE].sum() == 2


def test_other_films_of_trained_patients_stay_when_asked_for(
    tested: Manifest, trained: TrainingImages, folder: Path
) -> None:
    kept = without_overlap(Eligible(tested, 7, (), {}), trained, trained_patients=True, cache=folder / "cache")
    assert str(folder / "other_film.png") in set(kept.manifest.table["path"])
    assert SEEN_BEFORE[Match.PATIENT] not in {step.reason for step in kept.flow}


def test_a_package_from_before_the_hashes_says_what_it_cannot_find(tested: Manifest) -> None:
    image = TrainedImage.of("0" * 64, source="north", patient="p3", split="train")
    older = TrainingImages((image,), ("train image 0",), "old/package")
    overlap = find_overlap(tested, older)
    assert _found(overlap) == {"same patient": ["other_film.png"]}
    assert overlap.compared == 0
    assert "older lungsight" in overlap.notices[0]
    eligible = without_overlap(Eligible(tested, 7, (), {}), older)
    assert SEEN_BEFORE[Match.LOOK_ALIKE] not in {step.reason for step in eligible.flow}


def test_a_model_that_names_no_training_image_overlaps_with_nothing(tested: Manifest) -> None:
    overlap = find_overlap(tested, TrainingImages((), (), "a package"))
    assert not len(overlap.matches)
    assert "no overlap with this test can be found" in overlap.notices[0]


def test_phantoms_must_be_more_alike(
    tested: Manifest, trained: TrainingImages, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = tested.with_columns(modality=SIMULATED)
    assert _found(find_overlap(simulated, trained, cache=folder / "cache"))["looks the same"]
    monkeypatch.setattr(overlaps, "ALIKE_PHANTOMS", -1)
    assert "looks the same" not in _found(find_overlap(simulated, trained, cache=folder / "cache"))
    assert _found(find_overlap(tested, trained, cache=folder / "cache"))["looks the same"]
