"""``lungsight package wrap``: describe an ONNX classifier from elsewhere, by asking, guessing and showing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console

from lungsight import RESEARCH_ONLY
from lungsight._files import write_whole
from lungsight._text import shortened
from lungsight.cli import output
from lungsight.errors import LungsightError, printable

if TYPE_CHECKING:
    from lungsight.components.onnx_description import OnnxDescription
    from lungsight.radiograph import Radiograph

_NORMALISED = ("imagenet", "none")
_SHOWN = 8
_INPUT, _OUTPUT = "What the network sees", "What its numbers mean"


def _option(panel: str, text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


def wrap(
    network: Annotated[Path, typer.Argument(help="The ONNX file.", metavar="MODEL.ONNX")],
    out: Annotated[
        Path | None, typer.Option(help="The TOML file to write, beside it.", show_default="MODEL.toml")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the model is called in reports.")] = None,
    size: Annotated[int | None, _option(_INPUT, "Side of its square input, in pixels.")] = None,
    channels: Annotated[int | None, _option(_INPUT, "1: grey; 3: the same grey three times.")] = None,
    layout: Annotated[str | None, _option(_INPUT, "NCHW (PyTorch) or NHWC (Keras).")] = None,
    value_range: Annotated[
        str | None, _option(_INPUT, "What black and white become: 0,1 or 0,255.", "--range")
    ] = None,
    normalise: Annotated[
        str | None, _option(_INPUT, "What follows: imagenet, none, or MEAN,STD as two numbers.", "--normalise")
    ] = None,
    geometry: Annotated[
        str | None, _option(_INPUT, "squash stretches an image to a square, pad adds black, crop takes the middle.")
    ] = None,
    classes: Annotated[
        list[str] | None,
        _option(
            _OUTPUT,
            "CLASS or CLASS=LABEL,… of the manifest, for each of its numbers, in their order.",
            "--class",
            metavar="CLASS=LABEL,…",
        ),
    ] = None,
    target: Annotated[str | None, _option(_OUTPUT, "The class set against the rest.")] = None,
    activation: Annotated[
        str | None, _option(_OUTPUT, "What makes probabilities of its numbers: softmax, sigmoid, none.")
    ] = None,
    multi_label: Annotated[
        bool | None, _option(_OUTPUT, "Each number is for itself; --reads names the one that is read.")
    ] = None,
    reads: Annotated[
        str | None, _option(_OUTPUT, "The one number that is read.", show_default="the target's")
    ] = None,
    trained_source: Annotated[
        list[str] | None, _option(_OUTPUT, "A source that the model was trained on. Once for each source.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="A radiograph to try it on.", show_default="a phantom")] = None,
    show: Annotated[Path | None, typer.Option(help="Write what the network sees of it to this PNG file.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take every guess; ask nothing.")] = False,
) -> None:
    """Describe an ONNX classifier, so that `lungsight evaluate` can test it.

    What the file doesn't say is guessed and asked; an option answers a question beforehand. Then the network is run
    on a radiograph, and the range of what it sees and its probabilities are printed: look whether they can be right.

    Example: lungsight package wrap covid-net.onnx --class covid19 --class other='*' --show seen.png
    """
    from lungsight.components.onnx_adaptation import loaded
    from lungsight.components.onnx_description import OtherModelError, described, read_network
    from lungsight.components.onnx_guess import class_names, guess
    from lungsight.components.onnx_safety import UnusableNetworkError

    console, file = output.console(), out or network.with_suffix(".toml")
    _refuse_place(network, file)
    content = read_network(network)
    try:
        graph = loaded(content)
        guessed = guess(graph)
    except UnusableNetworkError as error:
        raise OtherModelError(network, str(error), "export a network from one image to its classes") from error
    ask = _Asking(console, yes)
    seen = {
        "size": ask("Side of the input, in pixels", size, guessed.input["size"], guessed.reasons["size"]),
        "channels": ask("Channels, 1 or 3", channels, guessed.input["channels"], guessed.reasons["channels"]),
        "layout": ask("Layout, NCHW or NHWC", layout, guessed.input["layout"], guessed.reasons["layout"]),
        "geometry": ask("Geometry, squash, pad or crop", geometry, "squash", guessed.reasons["geometry"]),
        **_scaling(ask, value_range, normalise, guessed.input, guessed.reasons["range"]),
    }
    stated = [*(classes or ()), *(() if classes else class_names(graph, guessed.numbers))]
    names, labels = _classes(ask, network, stated, guessed.numbers)
    given = guessed.output
    meaning = {
        "name": given["name"],
        "classes": names,
        "activation": ask(
            "Activation, softmax, sigmoid or none", activation, given["activation"], guessed.reasons["activation"]
        ),
        "multi_label": ask("Is each number for itself?", multi_label, given["multi_label"], "from its end"),
        "reads": reads or "",
    }
    first = reads or (names[0] if target is None else target)
    description = described(
        network,
        {
            "name": name or network.stem,
            "network": network.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "target": ask("Target, the class set against the rest", target, first, "the first"),
            "labels": labels,
            "trained_sources": trained_source,
            "input": seen,
            "output": meaning,
        },
    )
    _try(console, content, description, network, image, show)
    write_whole(file, description.as_toml())
    output.say(console, f"\nWritten: {printable(file)}. Then: lungsight evaluate {printable(file)} --data MANIFEST")
    output.say(console, RESEARCH_ONLY)


@dataclass(frozen=True)
class _Asking:
    """Asks a question unless an option answers it, or every guess is taken."""

    console: Console
    yes: bool

    def __call__(self, question: str, answered: Any, guessed: Any, reason: str) -> Any:
        if answered is not None:
            return answered
        if self.yes:
            output.say(self.console, f"{question}: {guessed} ({reason})")
            return guessed
        return typer.prompt(f"{question} ({reason})", default=guessed)


def _refuse_place(network: Path, file: Path) -> None:
    if file.resolve().parent != network.resolve().parent:
        raise LungsightError(f"--out {file}", "isn't beside the network", "name a file in its folder")
    if file.exists():
        raise LungsightError(file, "is there already", "name another with --out, or move it away")


def _scaling(ask: _Asking, stated: str | None, normalise: str | None, guessed: Any, reason: str) -> dict[str, Any]:
    """The keys ``range``, ``mean`` and ``std``."""
    from lungsight.components.onnx_description import IMAGENET

    low_high = ask("Black and white become", stated, ",".join(f"{x:g}" for x in guessed["range"]), reason)
    usual = "imagenet" if guessed.get("mean") else "none"
    follows = ask("Normalised afterwards: imagenet, none or MEAN,STD", normalise, usual, "as most networks are")
    keys: dict[str, Any] = {"range": _two(low_high, "--range")}
    if follows not in _NORMALISED:
        mean, std = _two(follows, "--normalise")
        return {**keys, "mean": (mean,), "std": (std,)}
    if follows == "none":
        return keys
    return {**keys, "mean": IMAGENET[0], "std": IMAGENET[1]}


def _two(text: str, option: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        raise LungsightError(f"{option} {text}", "isn't two numbers", "write them as 0,255") from None
    return first, second


def _classes(
    ask: _Asking, network: Path, stated: Sequence[str], numbers: int
) -> tuple[list[str], dict[str, list[str]]]:
    """The name of each of the network's numbers, and the labels of those that have others than their name."""
    if not stated and ask.yes:
        hint = f"name its {numbers} classes in their order, each with --class"
        raise LungsightError(network, "doesn't say what its classes are", hint)
    if not stated:
        answer = typer.prompt(f"Its {numbers} classes in their order, with commas between them")
        stated = [part.strip() for part in answer.split(",") if part.strip()]
    names, labels = [], {}
    for one in stated:
        name, equals, listed = (part.strip() for part in one.partition("="))
        names.append(name)
        if equals:
            labels[name] = [label.strip() for label in listed.split(",") if label.strip()]
    return names, labels


def _try(
    console: Console, content: bytes, description: OnnxDescription, path: Path, image: Path | None, show: Path | None
) -> None:
    """Run the network on a radiograph and print what it sees and gives."""
    from lungsight.components.onnx_predictor import OnnxPredictor
    from lungsight.inference.other_model import OtherModel

    model = OtherModel(OnnxPredictor(content, description, path), description.classes, description.target)
    radiograph = _radiograph(image, model.read)
    prepared = model.prepare_checked(model.check_with_networks(radiograph))
    (probabilities,) = model.probabilities(model.logits([prepared]))
    scale, offset = description.input.scaling()
    low, high = (prepared.min() * scale + offset).min(), (prepared.max() * scale + offset).max()
    given = [f"{name} {p:.3f}" for name, p in zip(model.classes, probabilities, strict=True)]
    output.say(console, f"\nOf {printable(radiograph.file)} it sees numbers from {low:.3g} to {high:.3g}.")
    output.say(console, f"It gives {shortened(given, _SHOWN)}.")
    for what, reason in model.lacks.items():
        output.say(console, f"No {what}: {reason}")
    if show is not None:
        drawn = BytesIO()
        Image.fromarray(np.rint(np.clip(prepared[0], 0, 1) * 255).astype(np.uint8)).save(drawn, "PNG")
        write_whole(show, drawn.getvalue())
        output.say(console, f"What it sees: {printable(show)}")


def _radiograph(image: Path | None, read: Callable[[Path], Radiograph]) -> Radiograph:
    """The user's image, or a phantom with the disease."""
    if image is not None:
        return read(image)
    from lungsight.datasets.phantom import Label, draw
    from lungsight.radiograph import Radiograph

    return Radiograph(draw(1, Label.COVID19).pixels, file="a phantom with COVID-19", sha256="")
