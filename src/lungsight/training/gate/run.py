"""A training of the input gate, from a recipe and a manifest to its two files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console

from lungsight._files import write_whole
from lungsight.components.input_gate import GateDescription
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import VALIDATION
from lungsight.networks.gate_network import GateHeads
from lungsight.training.gate.examples import KINDS, Examples, gather
from lungsight.training.gate.exporting import export_gate, with_view
from lungsight.training.gate.features import Encoder, group_features
from lungsight.training.gate.groups import PHANTOMS, Group, groups, sides_of
from lungsight.training.gate.heads import fit_heads
from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.gate.thresholds import Thresholds, choose_thresholds
from lungsight.training.gate.view import ViewClassifier, train_view
from lungsight.training.image_cache import default_cache_folder
from lungsight.training.run_log import claim, log_to

GATE_FILE, DESCRIPTION_FILE, _RECIPE_FILE = "gate.onnx", "gate.json", "gate-recipe.json"
_VALIDATE_EVERY = 6  # of the drawn images, every sixth is for validation


def train_gate(
    recipe: GateRecipe,
    manifest: Manifest,
    folder: Path,
    *,
    seed: int = 0,
    cache: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train the gate and write ``gate.onnx`` and ``gate.json``, or resume a training that was interrupted.

    Frontal rows of the manifest are to be admitted. Lateral views, CT and other parts of the body are to be refused,
    and with them out-of-distribution images: drawn, broken out of the frontal rows, or found among installed
    libraries. Test patients (:func:`~groups.sides_of`) are never used. The encoder's features are kept in ``cache``,
    group by group. The same arguments on the same machine give the same files.

    Args:
        recipe: what to do.
        manifest: the images.
        folder: of the training.
        seed: of every draw.
        cache: folder of decoded images and features; the user's cache if not given.
        console: standard error if not given.

    Returns:
        ``folder``.

    Raises:
        RecipeError: ``folder`` holds another training, or the weights aren't available.
        ManifestError: there is no frontal image.
        UnreadableImageError: no image of a group can be read.
    """
    console = console or Console(stderr=True)
    folder.mkdir(parents=True, exist_ok=True)
    if (
        folder / _RECIPE_FILE
    ).is_file():  # it is written with a finished gate: until then another recipe may be given
        claim(folder / _RECIPE_FILE, _stated(recipe, seed))
    if (folder / GATE_FILE).is_file() and (folder / DESCRIPTION_FILE).is_file():
        console.print(f"{folder} holds this gate already.")
        return folder
    log = log_to(folder / "log.txt", console, writes=True)
    cache = cache or default_cache_folder()
    encoder = Encoder(recipe, seed, cache)
    chosen, examples = examples_of(recipe, manifest, encoder, cache, seed=seed, log=log)
    thresholds = choose_thresholds(recipe, examples, seed, log)
    heads = fit_heads(recipe, examples, seed)
    description = description_of(recipe, chosen, thresholds, encoder)
    write_gate(folder, heads, description, recipe, encoder, seed, train_view(examples, log))
    log(f"{GATE_FILE}: {(folder / GATE_FILE).stat().st_size / 1e6:.2f} MB")
    return folder


def write_gate(
    folder: Path,
    heads: GateHeads,
    description: GateDescription,
    recipe: GateRecipe,
    encoder: Encoder,
    seed: int,
    view: ViewClassifier | None = None,
) -> Path:
    """Write ``gate.onnx``, ``gate.json`` and the recipe into ``folder`` and return it."""
    claim(folder / _RECIPE_FILE, _stated(recipe, seed))
    exported = export_gate(encoder.module, encoder.exported, heads, recipe.image_size)
    if view is not None:
        exported = with_view(exported, view.head)
        description = description.model_copy(update={"view": view.description})
    write_whole(folder / GATE_FILE, exported)
    write_whole(folder / DESCRIPTION_FILE, description.model_dump_json(indent=1))
    return folder


def examples_of(
    recipe: GateRecipe,
    manifest: Manifest,
    encoder: Encoder,
    cache: Path,
    *,
    seed: int,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[list[Group], Examples]:
    """The groups of images that a gate is trained on, and their features."""
    chosen = groups(recipe, manifest, seed)
    log(f"{encoder.module.origin}; {len(chosen)} groups of images")
    sides = dict(zip(manifest.patient_key, sides_of(manifest, seed), strict=True))

    def is_validation(group: Group, image: int) -> bool:
        if group.family or not group.patients:
            return image % _VALIDATE_EVERY == 0
        return bool(sides[group.patients[image]] == VALIDATION)

    examples = gather(chosen, lambda group: group_features(group, encoder, cache, seed, log), is_validation)
    log(f"{len(examples.kind)} views, {int(examples.frontal.sum())} of them of frontal radiographs")
    return chosen, examples


def description_of(
    recipe: GateRecipe, chosen: Sequence[Group], thresholds: Thresholds, encoder: Encoder
) -> GateDescription:
    """What ``package.json`` states of a gate that was trained on the groups ``chosen``."""
    real = [group for group in chosen if not group.family and group.source != PHANTOMS]
    return GateDescription(
        image_size=recipe.image_size,
        kinds=tuple(str(kind) for kind in KINDS),
        least_probability=thresholds.least_probability,
        greatest_distance=thresholds.greatest_distance,
        refused_of_real=recipe.refused_of_real,
        trained_on=_totals((group.source, len(group.paths)) for group in sorted(real, key=lambda one: one.source)),
        decoys=_totals((group.family, group.views) for group in chosen if group.family),
        initial_weights=encoder.module.origin,
    )


def _totals(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, count in counts:
        totals[name] = totals.get(name, 0) + count
    return totals


def _stated(recipe: GateRecipe, seed: int) -> dict[str, object]:
    return {"seed": seed, **recipe.model_dump(mode="json")}
