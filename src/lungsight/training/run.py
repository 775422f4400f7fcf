"""A training run, from a recipe and a manifest to a model package; an interrupted run can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from fastai.data.core import DataLoaders
from numpy.typing import NDArray
from rich.console import Console

from lungsight._progress import ProgressBars
from lungsight.datasets.manifest import Manifest
from lungsight.errors import ManifestError, RecipeError
from lungsight.networks.backbones import build_network
from lungsight.networks.cam_classifier import CamClassifier
from lungsight.package import ModelPackage, find_package
from lungsight.package.bundled import is_package
from lungsight.package.description import GOES_ON_FROM
from lungsight.package.storage import WEIGHTS
from lungsight.training import lr_search, training_set
from lungsight.training.auxiliary_models import AuxiliaryModels, prepare_auxiliary_models
from lungsight.training.batches import ProcessShard, build_loaders
from lungsight.training.callbacks import TrainingBars
from lungsight.training.diagnosis import Diagnosis
from lungsight.training.image_cache import ImageCache, LungCache, default_cache_folder
from lungsight.training.learner import build_learner
from lungsight.training.localization_targets import known_targets
from lungsight.training.packaging import images_to_predict, package_network
from lungsight.training.recipe import Recipe
from lungsight.training.run_folder import RunFolder
from lungsight.training.run_log import log_to
from lungsight.training.stages import Stages
from lungsight.training.training_set import TrainingSet

#: Share of the healthy class from which on an image counts as showing no disease.
_HEALTHY = 0.5


@dataclass(frozen=True)
class RunOutcome:
    """Where the run is, whether training went to its end, and what its losses showed."""

    folder: Path
    finished: bool
    diagnosis: Diagnosis | None = None


def train(
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    *,
    list_folders: tuple[Path, ...] = (),
    cache: Path | None = None,
    workers: int = 0,
    console: Console | None = None,
) -> RunOutcome:
    """Train a classifier and write its package, or resume a run that was interrupted.

    Args:
        recipe: what to do.
        manifest: the images.
        folder: of the run; ``folder/package`` is the result.
        list_folders: where to look for the lists of files that the recipe names.
        cache: folder of decoded images; the user's cache if not given.
        workers: processes that load images.
        console: standard error if not given.

    Raises:
        RecipeError: ``folder`` holds a run of another recipe, or the recipe doesn't fit the images.
        ManifestError: the images can't be trained on.
        SplitLeakageError: the same patient or image is on both sides of the split.
    """
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    console = console or Console(stderr=True, quiet=state.process_index > 0)
    shard = ProcessShard(state.process_index, state.num_processes)
    recorded = RunFolder(recipe, folder, writes=state.is_main_process)
    if recorded.is_finished:
        console.print(f"{folder} holds this run already, finished.")
        return RunOutcome(folder, finished=True)
    log = log_to(folder / "log.txt", console, writes=state.is_main_process)
    run = _Inputs.prepare(recipe, manifest, folder, list_folders, cache, console, log)
    loaders = run.loaders(shard, workers)
    if state.is_main_process:
        recorded.begin(run.images)
    log(
        f"{recipe.backbone}, initial weights: {run.origin}; {len(loaders.train_ds)} images an epoch on {state.device}"
    )
    learner = build_learner(recipe, run.network, loaders, folder=folder, rank=shard.rank)
    diagnosis = Stages(recipe, folder, learner, shard, log, console).run()
    if state.is_main_process:
        log("calibrating and writing the package")
        with ProgressBars(console) as bars:
            package_network(
                recipe, learner.model, run.images, run.caches.images, run.origin, folder / "package", run.models,
                advance=bars.advancing("predicting images", images_to_predict(recipe, run.images)),
            )  # fmt: skip
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        recorded.end(diagnosis)
    state.wait_for_everyone()
    return RunOutcome(folder, finished=True, diagnosis=diagnosis)


def find_learning_rate(
    recipe: Recipe,
    manifest: Manifest,
    out: Path,
    *,
    list_folders: tuple[Path, ...] = (),
    cache: Path | None = None,
    console: Console,
) -> lr_search.LearningRateCurve:
    """Draw the learning-rate curve of a recipe's first stage into the folder ``out``."""
    run = _Inputs.prepare(recipe, manifest, out, list_folders, cache, console, console.print)
    loaders = run.loaders(ProcessShard())
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    learner = build_learner(recipe, run.network, loaders, folder=out)
    if recipe.stages[0].frozen:
        learner.freeze()
    with ProgressBars(console) as bars:
        learner.add_cb(TrainingBars(bars, 1, 0))
        curve = lr_search.search(learner, recipe.learning_rate_search.iterations)
    shutil.rmtree(out / "scratch", ignore_errors=True)
    curve.write(out / "learning_rate.csv")
    return curve


@dataclass(frozen=True)
class Caches:
    """The images as the network sees them, and their lungs, if the run has a lung segmentation."""

    images: ImageCache
    lungs: LungCache | None

    @classmethod
    def of(cls, recipe: Recipe, models: AuxiliaryModels, root: Path) -> Caches:
        """The caches under ``root``. Raises RecipeError if the recipe needs lungs that no model finds."""
        lungs = LungCache.at(models.lung_segmentation, root) if models.lung_segmentation else None
        if lungs is None and recipe.preprocessing.needs_lungs:
            raise RecipeError(
                "geometry lungs", "no model finds where the lungs are", "give lung_fields or parts_from"
            )
        return cls(ImageCache.at(recipe.preprocessing, root, lungs), lungs)

    def attention_targets(self, recipe: Recipe, images: TrainingSet) -> NDArray[np.uint8] | None:
        """Those of all images, as :func:`known_targets` returns them, if the recipe guides the evidence."""
        if not recipe.guidance.weight:
            return None
        healthy = images.shares[:, images.classes.index(recipe.guidance.healthy)] > _HEALTHY
        return known_targets(images.manifest, healthy, recipe.preprocessing, self.lungs.load if self.lungs else None)


@dataclass(frozen=True)
class _Inputs:
    """All that a run needs before its first step; its slow parts are kept on disk."""

    recipe: Recipe
    network: CamClassifier
    origin: str
    models: AuxiliaryModels
    caches: Caches
    images: TrainingSet

    @classmethod
    def prepare(
        cls, recipe: Recipe, manifest: Manifest, folder: Path, list_folders: tuple[Path, ...], cache: Path | None,
        console: Console, log: Callable[[str], None],
    ) -> _Inputs:  # fmt: skip
        cache = cache or default_cache_folder()
        choice = training_set.choose_every_class(recipe, manifest, list_folders)
        network, origin = build_network_of(recipe)
        with PartialState().main_process_first():  # the others then find the models finished
            models = prepare_auxiliary_models(recipe, manifest, folder, cache, console)
        caches = Caches.of(recipe, models, cache)
        if recipe.split.unit != "given" and (manifest.table["split"] != "").any():
            log("the manifest has a split of its own, which this recipe doesn't use; --set split.unit=given keeps it")
        readable, left_out = _readable(*choice, caches, console, log)
        with ProgressBars(console) as bars:
            search = bars.counting("looking for the same image twice")
            images = training_set.divide(recipe, readable, left_out, progress=search)
        _report(images, log)
        return cls(recipe, network, origin, models, caches, images)

    def loaders(self, shard: ProcessShard, workers: int = 0) -> DataLoaders:
        return build_loaders(
            self.recipe, self.images, self.caches.images, shard=shard, device=PartialState().device, workers=workers,
            attention=self.caches.attention_targets(self.recipe, self.images),
        )  # fmt: skip


def build_network_of(recipe: Recipe) -> tuple[CamClassifier, str]:
    """The network and its origin, tried on one image of the recipe's size: before hours of reading, not after."""
    torch.manual_seed(recipe.seed)
    goes_on = is_package(recipe.weights)
    network, origin = build_network(
        recipe.backbone,
        len(recipe.classes),
        weights="random" if goes_on else recipe.weights,
        dropout=recipe.dropout,
        fine_maps=recipe.fine_maps,
    )
    if goes_on:
        origin = _take_weights(network, recipe)
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 1, recipe.image_size, recipe.image_size))
    except RuntimeError as error:
        problem = f"images of {recipe.image_size} px are too small for it"
        raise RecipeError(f"backbone {recipe.backbone}", problem, "raise image_size") from error
    return network.train(), origin


def _take_weights(network: CamClassifier, recipe: Recipe) -> str:
    """Load the weights of the package that the recipe names; return its name as their origin."""
    package = ModelPackage.open(find_package(recipe.weights))
    if package.description.classes != tuple(recipe.classes):
        problem = (
            f"its classes are {', '.join(package.description.classes)}, the recipe's {', '.join(recipe.classes)}"
        )
        raise RecipeError(f"weights {recipe.weights}", problem, "train the same classes in the same order")
    tensors = safetensors.torch.load(package.read(WEIGHTS))
    try:
        network.load_state_dict(
            {name: tensor.to(network.state_dict()[name].dtype) for name, tensor in tensors.items()}
        )
    except (RuntimeError, KeyError) as error:
        hint = "give the backbone, fine_maps and image_size of that package, or continue with --from"
        raise RecipeError(f"weights {recipe.weights}", "its network is another than the recipe's", hint) from error
    return f"{GOES_ON_FROM}{package.id}"


def _readable(
    chosen: Manifest, left_out: dict[str, int], caches: Caches, console: Console, log: Callable[[str], None]
) -> tuple[Manifest, dict[str, int]]:
    """The images that can be read, each read into the caches."""
    paths = list(chosen.table["path"])
    with ProgressBars(console) as bars:
        problems = {}
        if caches.lungs is not None:
            problems = caches.lungs.prepare(paths, advance=bars.advancing("finding the lungs", len(paths)))
        paths = [path for path in paths if path not in problems]
        problems |= caches.images.prepare(paths, advance=bars.advancing("reading images", len(paths)))
    for problem in problems.values():
        log(str(problem))
    if not problems:
        return chosen, left_out
    readable = chosen.where(~chosen.table["path"].isin(list(problems)))
    if not len(readable):
        raise ManifestError(chosen.name, "none of its images can be read", "check the column path")
    return readable, {**left_out, "can't be read": len(problems)}


def _report(images: TrainingSet, log: Callable[[str], None]) -> None:
    counts = (images.manifest.table["split"] + " " + images.class_names).value_counts(sort=False)
    log("images: " + ", ".join(f"{side_and_class} {n}" for side_and_class, n in sorted(counts.items())))
    for reason, n in images.left_out.items():
        log(f"left out: {n}, {reason}")
    if images.leaks:
        log(f"the split leaks, as the recipe allows: {len(images.leaks)} leaks, for example: {images.leaks[0]}")
