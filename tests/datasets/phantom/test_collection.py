import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import HOSPITALS, Label, Shortcut, draw, write_collection
from lungsight.datasets.phantom.collection import lesion_boxes
from lungsight.errors import CollectionError
from lungsight.radiograph import View

SETTINGS = {"patients": 18, "seed": 3, "size": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_collection(folder, **SETTINGS, shortcut=Shortcut.BORDER, strength=1.0)
    return folder


@pytest.fixture(scope="module")
def manifest(folder) -> Manifest:
    return Manifest.read(folder / "manifest.csv")


def test_labels_and_sources_are_balanced_over_patients(manifest):
    patients = manifest.table.drop_duplicates("patient")
    assert len(patients) == 18
    assert (patients.groupby(["source", "label"]).size() == 3).all()
    assert set(patients["source"]) == {hospital.name for hospital in HOSPITALS}


def test_a_patient_has_one_label_source_age_and_sex(manifest):
    per_patient = manifest.table.groupby("patient")[["label", "source", "age", "sex"]].nunique()
    assert (per_patient == 1).all().all()
    assert set(manifest.table.groupby("patient").size()) == {1, 2}


def test_every_truth_is_written(manifest):
    not_of_phantoms = ["split", "body_part", "paediatric", "view_guess", "whole_lung_mask", "zone_severity"]
    filled = manifest.table.drop(columns=["shortcut", *not_of_phantoms])
    assert not (filled == "").any().any()
    assert filled["age"].between(18, 95).all()
    assert (filled["reference_standard"] == "simulation truth").all()
    assert ((manifest.table["shortcut"] == "border") == (manifest.table["label"] == "covid19")).all()


def test_masks_share_the_grid_of_the_image_and_boxes_hold_the_lesions(manifest):
    for row in manifest.table.itertuples():
        image, lungs, lesions = (np.asarray(Image.open(p)) for p in (row.path, row.lung_mask, row.lesion_mask))
        assert image.dtype == np.uint8
        assert image.shape == lungs.shape == lesions.shape
        assert set(np.unique(lungs)) == {0, 255}
        assert (lesions.max() == 255) == (row.label != "no_pneumonia")
        assert bool(json.loads(row.boxes)) or row.label == "no_pneumonia" or (lesions > 0).mean() < 4e-3
        for x0, y0, x1, y1 in json.loads(row.boxes):
            height, width = lesions.shape
            assert lesions[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)].any()


def test_boxes_are_fractions_of_width_and_height():
    mask = np.zeros((50, 100), bool)
    mask[10:20, 60:80] = True
    mask[0, 0] = True  # a speck
    assert json.loads(lesion_boxes(mask)) == [[0.6, 0.2, 0.8, 0.4]]


def test_a_second_call_draws_nothing_and_a_broken_off_one_goes_on(folder, manifest):
    files = [Path(path) for path in manifest.table["path"]]
    lost, before = files[4], {file: file.stat().st_mtime_ns for file in files}
    pixels = np.asarray(Image.open(lost))
    lost.unlink()
    again = write_collection(folder, **SETTINGS, shortcut=Shortcut.BORDER, strength=1.0)
    assert np.array_equal(np.asarray(Image.open(lost)), pixels)
    assert all(file.stat().st_mtime_ns == before[file] for file in files if file != lost)
    assert again.table.equals(manifest.table)


def test_processes_draw_what_one_process_draws(folder, manifest, tmp_path):
    write_collection(tmp_path, **SETTINGS, shortcut=Shortcut.BORDER, strength=1.0, workers=1)
    for path in manifest.table["path"]:
        assert Path(path).read_bytes() == (tmp_path / Path(path).relative_to(folder)).read_bytes()


def test_a_folder_with_other_phantoms_is_refused(folder):
    with pytest.raises(CollectionError, match="other settings"):
        write_collection(folder, **{**SETTINGS, "seed": 4})


def test_progress_counts_every_image(tmp_path):
    calls = []
    write_collection(tmp_path, patients=4, seed=0, size=32, progress=lambda done, total: calls.append((done, total)))
    total = calls[0][1]
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_wrong_arguments_are_refused(tmp_path):
    with pytest.raises(ValueError, match="strength"):
        write_collection(tmp_path, patients=3, seed=0, strength=1.5)


def test_the_view_can_be_the_shortcut(tmp_path):
    planted = write_collection(tmp_path / "1", **SETTINGS, shortcut=Shortcut.VIEW, strength=1.0).table
    assert ((planted["view"] == "AP") == (planted["label"] == "covid19")).all()
    assert ((planted["shortcut"] == "view") == (planted["view"] == "AP")).all()
    assert set(planted["view"]) == {"AP", "PA"}
    chance = write_collection(tmp_path / "0", **SETTINGS | {"size": 32}, shortcut=Shortcut.VIEW, strength=0.0).table
    assert ((chance["shortcut"] == "view") == (chance["view"] == "AP")).all()
    assert set(chance.loc[chance["label"] != "covid19", "view"]) == {"AP", "PA"}


@pytest.mark.parametrize("view", [View.AP, View.PA])
def test_all_images_can_have_one_view(tmp_path, view):
    table = write_collection(tmp_path, patients=9, seed=1, size=32, view=view).table
    assert (table["view"] == view.value).all()


def test_folders_of_earlier_versions_are_known_again(folder):
    """The settings on disk have the view only if one was asked for."""
    assert "view" not in json.loads((folder / "phantom.json").read_text("utf-8"))


def test_a_view_of_another_kind_is_refused(tmp_path):
    for wrong in ({"view": View.LATERAL}, {"view": View.AP, "shortcut": Shortcut.VIEW}):
        with pytest.raises(ValueError, match="PA or AP"):
            write_collection(tmp_path, patients=3, seed=0, **wrong)


def test_the_folder_holds_what_draw_draws(manifest):
    """The collection adds nothing to ``draw`` but rounding to 8 bits."""
    from lungsight.datasets.phantom.patient import PhantomPatient, Stream

    row = manifest.table.iloc[0]
    index, shot = int(row["patient"].split("-")[1]), int(row["study"].split("-")[-1])
    patient = PhantomPatient.from_seed(int(Stream.COLLECTION.generator(SETTINGS["seed"], index).integers(2**53)))
    hospital = next(h for h in HOSPITALS if h.name == row["source"])
    shortcut = Shortcut(row["shortcut"]) if row["shortcut"] else None
    phantom = draw(patient, Label(row["label"]), hospital=hospital, shortcut=shortcut, shot=shot, size=64)
    assert np.array_equal(np.asarray(Image.open(row["path"])), np.round(phantom.pixels * 255).astype(np.uint8))
