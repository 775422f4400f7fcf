"""A training of the gate, from a recipe and a manifest to its two files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from lungsight._files import write_whole
from lungsight.components.input_gate import GateDescription
from lungsight.datasets.manifest import Manifest
from lungsight.datasets.splits import VALIDATION
from lungsight.errors import RecipeError
from lungsight.networks.gate_network import GateHeads
from lungsight.training.gate.examples import KINDS, Examples, gather
from lungsight.training.gate.exporting import export_gate
from lungsight.training.gate.features import Encoder, see
from lungsight.training.gate.groups import PHANTOMS, Group, groups, sides_of
from lungsight.training.gate.heads import fit_heads
from lungsight.training.gate.recipe import GateRecipe
from lungsight.training.gate.thresholds import Thresholds, choose_thresholds
from lungsight.training.image_cache import default_cache_folder
from lungsight.training.run_log import log_to

GATE_FILE, DESCRIPTION_FILE = "gate.onnx", "gate.json"
_HELD_DECOYS = 6  # every so many of the drawn ones is watched, not learned from


def train_gate(
    recipe: GateRecipe,
    manifest: Manifest,
    folder: Path,
    *,
    seed: int = 0,
    cache: Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train the gate and write ``gate.onnx`` and ``gate.json`` into ``folder``, which is the answer.

    Frontal rows of the manifest are what to admit; lateral views and CT are what to refuse, with decoys drawn, broken
    out of the frontal rows and found among installed libraries. Test patients (:func:`~groups.sides_of`) are never
    looked at. A run that was cut off goes on: what the encoder saw is kept in ``cache``, group by group. The same
    arguments on the same machine give the same files.

    Raises InvalidRecipe where ``folder`` holds a gate of another recipe or the weights can't be had, InvalidManifest
    and UnreadableImage where the images won't do."""
    console = console or Console(stderr=True)
    folder.mkdir(parents=True, exist_ok=True)
    if _is_finished(folder, recipe, seed):
        console.print(f"{folder} holds this gate already.")
        return folder
    say = log_to(folder / "log.txt", console, writes=True)
    cache = cache or default_cache_folder()
    encoder = Encoder(recipe, seed, cache)
    chosen, examples = examples_of(recipe, manifest, encoder, cache, seed=seed, say=say)
    thresholds = choose_thresholds(recipe, examples, seed, say)
    heads = fit_heads(recipe, examples, seed)
    description = description_of(recipe, chosen, thresholds, encoder)
    write_gate(folder, heads, description, recipe, encoder, seed)
    say(f"{GATE_FILE}: {(folder / GATE_FILE).stat().st_size / 1e6:.2f} MB")
    return folder


def write_gate(
    folder: Path, heads: GateHeads, description: GateDescription, recipe: GateRecipe, encoder: Encoder, seed: int
) -> Path:
    """``gate.onnx``, ``gate.json`` and the recipe, into ``folder``, which is the answer."""
    folder.mkdir(parents=True, exist_ok=True)
    exported = export_gate(encoder.module, encoder.exported, heads, recipe.image_size)
    write_whole(folder / GATE_FILE, exported)
    write_whole(folder / DESCRIPTION_FILE, description.model_dump_json(indent=1))
    write_whole(folder / "gate-recipe.json", _stated(recipe, seed))
    return folder


def examples_of(
    recipe: GateRecipe,
    manifest: Manifest,
    encoder: Encoder,
    cache: Path,
    *,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[Group], Examples]:
    """What a gate learns from, and what the encoder sees in it."""
    chosen = groups(recipe, manifest, seed)
    say(f"{encoder.module.origin}; {len(chosen)} groups of images")
    examples = _examples(chosen, manifest, encoder, cache, seed, say)
    say(f"{len(examples.kind)} views, {int(examples.frontal.sum())} of them of frontal radiographs")
    return chosen, examples


def description_of(
    recipe: GateRecipe, chosen: Sequence[Group], thresholds: Thresholds, encoder: Encoder
) -> GateDescription:
    """What ``package.json`` is to say of a gate that learned from the groups ``chosen``."""
    return GateDescription(
        image_size=recipe.image_size,
        kinds=tuple(str(kind) for kind in KINDS),
        least_probability=thresholds.least_probability,
        greatest_distance=thresholds.greatest_distance,
        refused_of_real=recipe.refused_of_real,
        trained_on=_images_by_source(chosen),
        decoys=_decoys_by_family(chosen),
        initial_weights=encoder.module.origin,
    )


def _examples(
    chosen: Sequence[Group], manifest: Manifest, encoder: Encoder, cache: Path, seed: int, say: Callable[[str], None]
) -> Examples:
    sides = dict(zip(manifest.patient_key, sides_of(manifest, seed), strict=True))

    def is_held(group: Group, image: int) -> bool:
        if group.family or not group.patients:
            return image % _HELD_DECOYS == 0
        return bool(sides[group.patients[image]] == VALIDATION)

    return gather(chosen, lambda group: see(group, encoder, cache, seed, say), is_held)


def _is_finished(folder: Path, recipe: GateRecipe, seed: int) -> bool:
    stated = folder / "gate-recipe.json"
    if not stated.is_file():
        return False
    if stated.read_text("utf-8") != _stated(recipe, seed):
        raise RecipeError(folder, "holds a gate of another recipe or seed", "choose another folder, or remove it")
    return (folder / GATE_FILE).is_file() and (folder / DESCRIPTION_FILE).is_file()


def _stated(recipe: GateRecipe, seed: int) -> str:
    return json.dumps({"seed": seed, **recipe.model_dump(mode="json")}, indent=1)


def _images_by_source(chosen: Sequence[Group]) -> dict[str, int]:
    real = [group for group in chosen if not group.family and group.source != PHANTOMS]
    sources = sorted({group.source for group in real})
    return {source: sum(len(group.paths) for group in real if group.source == source) for source in sources}


def _decoys_by_family(chosen: Sequence[Group]) -> dict[str, int]:
    decoys = [group for group in chosen if group.family]
    return {
        name: sum(g.views for g in decoys if g.family == name) for name in dict.fromkeys(g.family for g in decoys)
    }
