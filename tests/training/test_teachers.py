from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.training.conftest import QUICK

from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import TRAIN, VALIDATION
from lungsight.errors import RecipeError
from lungsight.inference import Detector
from lungsight.reading import read_radiograph
from lungsight.training import training_set
from lungsight.training.recipe import Recipe, load_recipe
from lungsight.training.run import train
from lungsight.training.teachers import teacher_probabilities
from lungsight.training.training_set import TrainingSet


@pytest.fixture(scope="module")
def teacher(
    phantoms: Manifest, image_cache_folder: Path, quick_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    train(quick_recipe, phantoms, folder, cache=image_cache_folder)
    return folder / "package"


def _divided(recipe: Recipe, manifest: Manifest) -> TrainingSet:
    chosen, left_out = training_set.choose(recipe, manifest)
    return training_set.divide(recipe, chosen, left_out)


def _pupil(teacher: Path, *settings: str) -> Recipe:
    return load_recipe("demo", (*QUICK, f'teachers.packages=["{teacher}"]', *settings))


@pytest.mark.slow
def test_a_teacher_says_what_its_detector_says(teacher: Path, phantoms: Manifest) -> None:
    recipe = _pupil(teacher)
    images = _divided(recipe, phantoms)
    said = teacher_probabilities(recipe, images, None, progress=lambda done, total: None)
    rows = images.rows(TRAIN)
    assert said.shape == (len(rows), 3)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)
    detector = Detector.load(teacher)
    film = read_radiograph(images.manifest.table["path"].iloc[rows[0]])
    seen = detector.prepare(film)
    both = detector.predict(np.stack([seen, np.ascontiguousarray(seen[..., ::-1])])).probabilities
    np.testing.assert_allclose(said[0], both.mean(axis=0), atol=1e-5)


@pytest.mark.slow
def test_a_teacher_that_has_learned_this_runs_validation_is_refused(teacher: Path, phantoms: Manifest) -> None:
    recipe = _pupil(teacher, "seed=99")  # another split
    images = _divided(recipe, phantoms)
    assert len(images.rows(VALIDATION))
    with pytest.raises(RecipeError, match="same seed and split"):
        teacher_probabilities(recipe, images, None, progress=lambda done, total: None)


@pytest.mark.slow
def test_a_teacher_of_other_classes_is_refused(teacher: Path, phantoms: Manifest) -> None:
    recipe = _pupil(teacher, 'classes={covid19=["covid19"], other=["*"]}', "guidance.weight=0")
    with pytest.raises(RecipeError, match="other classes"):
        teacher_probabilities(recipe, _divided(recipe, phantoms), None, progress=lambda done, total: None)


@pytest.mark.slow
def test_a_pupil_learns_from_its_teacher(
    teacher: Path, phantoms: Manifest, image_cache_folder: Path, tmp_path: Path
) -> None:
    outcome = train(_pupil(teacher), phantoms, tmp_path, cache=image_cache_folder)
    assert outcome.finished
    assert (tmp_path / "package" / "network.onnx").is_file()
