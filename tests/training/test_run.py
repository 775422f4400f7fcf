"""Real trainings on phantoms, in seconds: what a run leaves, resuming, repeating, divergence, several processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from safetensors.numpy import load_file
from tests.training.conftest import QUICK

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.phantom import write_collection
from lungsight.errors import LungsightError, ManifestError, RecipeError, SplitLeakageError
from lungsight.package import ModelPackage, find_package
from lungsight.training import training_set
from lungsight.training.recipe import Recipe, as_toml, load_recipe
from lungsight.training.run import build_network_of, find_learning_rate, train
from lungsight.training.run_folder import RunFolder
from lungsight.training.training_set import choose, divide

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def finished(
    phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """One whole run, shared by the tests that only look at it."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert train(quick_recipe, phantoms, folder, cache=image_cache_folder, console=QUIET).finished
    return folder


def _same_weights(one: Path, other: Path) -> bool:
    a, b = (load_file(run / "package" / "weights.safetensors") for run in (one, other))
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def _losses(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "history.csv").drop(columns="seconds")


def test_a_run_leaves_a_package_that_verifies_itself(finished: Path) -> None:
    package = ModelPackage.open(finished / "package")
    package.verify()
    stated = package.description
    assert stated.classes == ("covid19", "other_pneumonia", "no_pneumonia")
    assert stated.split_unit == "patient"
    assert stated.calibration.fitted_on > 0
    manifest = Manifest.read(finished / "manifest.csv")
    fitted = manifest.table["split"].isin(["train", "validation"])
    assert len(package.trained_on) == fitted.sum() == sum(source.images for source in stated.sources)
    assert "not a medical device" in (finished / "package" / "MODEL_CARD.md").read_text("utf-8")


def test_a_run_says_what_it_was_made_from(finished: Path, quick_recipe: Recipe) -> None:
    assert load_recipe(str(finished / "recipe.toml")) == quick_recipe
    environment = json.loads((finished / "environment.json").read_text("utf-8"))
    assert environment["seed"] == quick_recipe.seed
    assert environment["versions"]["torch"]
    assert environment["started"] <= environment["finished"]
    history = pd.read_csv(finished / "history.csv")
    assert list(history["epoch"]) == [0, 1, 2]
    assert list(history["stage"]) == [0, 1, 1]
    assert history["train_loss"].notna().all()
    batches = pd.read_csv(finished / "batches.csv")
    assert list(batches["step"]) == list(range(len(batches)))
    one_cycle = batches.loc[batches["stage"] == 1, "lr"]
    assert one_cycle.idxmax() not in (one_cycle.index[0], one_cycle.index[-1])
    assert not (finished / "scratch").exists()


def test_no_patient_stands_on_two_sides(finished: Path) -> None:
    table = Manifest.read(finished / "manifest.csv").table
    assert (table.groupby(["source", "patient"])["split"].nunique() == 1).all()


def test_a_finished_run_is_left_alone(
    finished: Path, phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path
) -> None:
    before = (finished / "package" / "package.json").stat().st_mtime_ns
    train(quick_recipe, phantoms, finished, cache=image_cache_folder, console=QUIET)
    assert (finished / "package" / "package.json").stat().st_mtime_ns == before


def test_another_recipe_does_not_overwrite_a_run(finished: Path, phantoms: Manifest, quick_recipe: Recipe) -> None:
    other = quick_recipe.model_copy(update={"seed": 1})
    with pytest.raises(RecipeError, match="holds a run of another recipe; choose another --out"):
        train(other, phantoms, finished, console=QUIET)


#: ``lungsight train``, killed for good in the second batch of the third epoch, in the middle of a one-cycle stage.
KILLED = """
import os, signal
from lungsight.cli import main
from lungsight.training.batches import TrainingImages

given = TrainingImages.__getitem__

def killing(images, index):
    if images.epoch == 2 and index == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return given(images, index)

TrainingImages.__getitem__ = killing
main()
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(
    finished: Path, phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    manifest, recipe, run = tmp_path / "phantoms.csv", tmp_path / "quick.toml", tmp_path / "run"
    phantoms.write(manifest)
    recipe.write_text(as_toml(quick_recipe), "utf-8")
    words = ["train", str(recipe), "--data", str(manifest), "--out", str(run)]
    words += ["--cache", str(image_cache_folder), "--no-results"]
    killed = subprocess.run([sys.executable, "-c", KILLED, *words], stderr=subprocess.DEVNULL, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (run / "package").exists()
    subprocess.run([sys.executable, "-m", "lungsight", *words], check=True, stderr=subprocess.DEVNULL)
    assert "going on after epoch 1" in (run / "log.txt").read_text("utf-8")
    pd.testing.assert_frame_equal(_losses(run), _losses(finished))
    assert _same_weights(run, finished)


@pytest.mark.slow
def test_another_seed_gives_another_run(
    finished: Path, phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    other = quick_recipe.model_copy(update={"seed": 1})
    train(other, phantoms, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    assert not _same_weights(tmp_path / "run", finished)


@pytest.mark.slow
def test_a_diverging_run_is_named_and_stops(
    phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    wild = load_recipe(_written(quick_recipe, tmp_path), ["stages=[{epochs=1, lr=1e-3}, {epochs=30, lr=1e3}]"])
    outcome = train(wild, phantoms, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    assert outcome.diagnosis is not None
    assert outcome.diagnosis.problem == "divergence"
    assert len(_losses(tmp_path / "run")) < 31
    log = (tmp_path / "run" / "log.txt").read_text("utf-8")
    assert "divergence: " in log
    assert "the run stops" in log
    ModelPackage.open(tmp_path / "run" / "package").verify()  # the last sound weights are kept


def test_divergence_before_any_sound_weights_makes_no_package(
    phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    wild = load_recipe(_written(quick_recipe, tmp_path), ["stages=[{epochs=30, lr=1e9}]", "keep=best"])
    with pytest.raises(LungsightError, match="diverged before any weights were worth keeping"):
        train(wild, phantoms, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    assert not (tmp_path / "run" / "package").exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["batch_size=1000"], "don't fill a batch"),
        (["backbone=no_such_network"], "timm knows no such network"),
        (["backbone=inception_v3", "image_size=33"], "images of 33 px are too small for it; raise image_size"),
    ],
)
def test_a_slip_in_the_recipe_can_be_put_right_in_the_same_folder(
    phantoms: Manifest,
    quick_recipe: Recipe,
    image_cache_folder: Path,
    tmp_path: Path,
    wrong: list[str],
    sentence: str,
) -> None:
    slip = load_recipe(_written(quick_recipe, tmp_path), wrong)
    with pytest.raises(LungsightError, match=sentence):
        train(slip, phantoms, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    RunFolder(quick_recipe, tmp_path / "run", writes=True)  # doesn't hold a run of another recipe


def test_images_none_of_which_can_be_read_are_said_to_be_so(
    phantoms: Manifest, quick_recipe: Recipe, tmp_path: Path
) -> None:
    gone = phantoms.with_columns(path=str(tmp_path / "gone.png"))
    with pytest.raises(ManifestError, match="none of its images can be read"):
        train(quick_recipe, gone, tmp_path / "run", cache=tmp_path, console=QUIET)


def test_a_damaged_state_of_the_run_is_one_sentence(quick_recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "environment.json").touch()
    with pytest.raises(LungsightError, match=r"environment.json: isn't the JSON .*; remove it"):
        _ = RunFolder(quick_recipe, tmp_path, writes=True).is_finished


def _written(recipe: Recipe, folder: Path) -> str:
    path = folder / "recipe.toml"
    path.write_text(as_toml(recipe), "utf-8")
    return str(path)


def test_the_learning_rate_search_draws_and_names_a_rate(
    phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    search = {"learning_rate_search": quick_recipe.learning_rate_search.model_copy(update={"iterations": 25})}
    recipe = quick_recipe.model_copy(update=search)
    curve = find_learning_rate(recipe, phantoms, tmp_path, cache=image_cache_folder, console=QUIET)
    assert 1e-7 <= curve.suggestion <= 10
    drawn = pd.read_csv(tmp_path / "learning_rate.csv")
    assert drawn["lr"].is_monotonic_increasing
    assert len(drawn) == len(curve.losses) >= 10
    assert (tmp_path / "learning_rate.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_bfloat16_trains(phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path) -> None:
    recipe = quick_recipe.model_copy(update={"precision": "bfloat16", "stages": quick_recipe.stages[:1]})
    train(recipe, phantoms, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    assert np.isfinite(_losses(tmp_path / "run")["train_loss"]).all()


@pytest.mark.slow
def test_several_processes_share_one_run(
    phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    """Started by torch's own launcher, which is what `accelerate launch` calls; on CPUs accelerate would want MPI."""
    manifest, run = tmp_path / "phantoms.csv", tmp_path / "run"
    phantoms.write(manifest)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [
        "-m",
        "lungsight",
        "train",
        _written(quick_recipe, tmp_path),
        "--data",
        str(manifest),
        "--out",
        str(run),
    ]
    ended = subprocess.run(
        [*launch, *command, "--cache", str(image_cache_folder), "--no-results"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    ModelPackage.open(run / "package").verify()
    training_images = (Manifest.read(run / "manifest.csv").table["split"] == "train").sum()
    per_process = training_images // 2 // quick_recipe.batch_size
    assert len(pd.read_csv(run / "batches.csv")) == 3 * per_process
    assert list(pd.read_csv(run / "history.csv")["epoch"]) == [0, 1, 2]  # one process writes


@pytest.mark.slow
def test_a_split_that_is_not_used_is_said(
    phantoms: Manifest, quick_recipe: Recipe, image_cache_folder: Path, tmp_path: Path
) -> None:
    """Whoever marked test images must not have them trained on without a word."""
    recipe = quick_recipe.model_copy(update={"stages": quick_recipe.stages[:1]})
    marked = phantoms.with_columns(split=["test"] + [""] * (len(phantoms) - 1))
    train(recipe, marked, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    assert "--set split.unit=given keeps it" in (tmp_path / "run" / "log.txt").read_text("utf-8")


def test_a_training_goes_on_with_the_network_and_the_weights_of_a_package() -> None:
    package = ModelPackage.open(find_package("released"))
    recipe = load_recipe("demo", ["image_size=128"], goes_on_from="released")
    assert (recipe.image_size, recipe.geometry, recipe.fine_maps) == (128, "lungs", True)  # --set has the last word
    assert (recipe.parts_from, recipe.split.as_in) == ("released", "released")
    network, origin = build_network_of(recipe)
    assert origin == f"the package {package.id}"
    stored = load_file(package.path / "weights.safetensors")
    assert all(
        np.array_equal(tensor.numpy().ravel(), stored[name].ravel()) for name, tensor in network.state_dict().items()
    )


def test_a_package_of_other_classes_or_of_another_network_is_no_start() -> None:
    with pytest.raises(RecipeError, match="its network is another than the recipe's"):
        build_network_of(load_recipe("demo", ["weights=released", "fine_maps=false"]))
    with pytest.raises(RecipeError, match="its classes are covid19, other_pneumonia, no_pneumonia"):
        build_network_of(load_recipe("demo", ["weights=released"], {"covid19": ["covid19"], "rest": ["*"]}))


def test_what_a_package_was_trained_on_is_not_validated_on(
    phantoms: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("demo", ["weights=released", "split.find_duplicates=false"])
    chosen, left_out = choose(recipe, phantoms)
    assert len(divide(recipe, chosen, left_out).manifest) == len(phantoms)  # the package never saw them
    monkeypatch.setattr(training_set, "sides_as_in", lambda *_: np.full(len(chosen), "train", dtype=object))
    with pytest.raises(SplitLeakageError, match=r"give --set split\.as_in=released"):
        divide(recipe, chosen, left_out)


@pytest.mark.slow
def test_what_the_package_before_has_seen_stays_known(
    finished: Path, image_cache_folder: Path, tmp_path: Path
) -> None:
    other = write_collection(tmp_path / "other", patients=24, seed=6, size=96, workers=1)
    elsewhere = other.with_columns(source="elsewhere")
    quick = [setting for setting in QUICK if setting != "weights=random"]
    recipe = load_recipe("demo", quick, goes_on_from=str(finished / "package"))
    train(recipe, elsewhere, tmp_path / "run", cache=image_cache_folder, console=QUIET)
    before, after = (ModelPackage.open(run / "package") for run in (finished, tmp_path / "run"))
    assert {image.sha256 for image in before.trained_on} < {image.sha256 for image in after.trained_on}
    assert {s.name for s in after.description.sources} == {s.name for s in before.description.sources} | {"elsewhere"}
