"""``model.toml``: what an ONNX classifier from elsewhere doesn't say of itself, and a person has to."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lungsight.components.decision import Decision
from lungsight.components.preprocessing import Preprocessing
from lungsight.errors import LungsightError

#: The class of all images that aren't of a multi-label network's one output.
REST = "other"
#: Mean and standard deviation of ImageNet's pixels in 0…1, as most networks from elsewhere are given them.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Positive = Annotated[float, Field(gt=0)]


class OtherModelError(LungsightError):
    """A model from elsewhere, or its description, that can't be used as it stands."""


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class NetworkInput(_Stated):
    """What the network sees of a radiograph whose pixels are 0 (black) to 1 (white, dense)."""

    size: int = Field(default=224, ge=32, le=4096)
    """Side of the square input, in pixels."""
    geometry: Literal["squash", "pad", "crop"] = "squash"
    """How an image becomes a square: `squash` stretches it, `pad` adds black, `crop` takes the middle."""
    intensity: Literal["as_is", "percentile"] = "as_is"
    """`percentile` stretches the 1st and 99th percentile to 0 and 1 first."""
    channels: Literal[1, 3] = 3
    """1: grey; 3: the grey three times, as red, green and blue."""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    """Whether the channels come before height and width (PyTorch) or after them (Keras)."""
    value_range: tuple[float, float] = Field(default=(0.0, 1.0), alias="range")
    """The numbers that black and white become."""
    mean: tuple[float, ...] = ()
    """Subtracted afterwards: one number, or one for each channel; none if empty."""
    std: tuple[Positive, ...] = ()
    """Divided by afterwards: one number, or one for each channel; none if empty."""

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _numbers_fit_the_channels(self) -> Self:
        if self.value_range[0] == self.value_range[1]:
            raise ValueError("range must hold two different numbers")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, self.channels):
                raise ValueError(f"{name} has {len(values)} numbers; give one, or one for each of {self.channels}")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """How the square is made."""
        return Preprocessing(image_size=self.size, geometry=self.geometry, intensity=self.intensity)

    def scaling(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What a pixel in 0…1 is multiplied by, and what is then added: float32 [channels] each."""
        low, high = self.value_range
        mean = np.broadcast_to(np.array(self.mean or 0.0), self.channels)
        std = np.broadcast_to(np.array(self.std or 1.0), self.channels)
        return ((high - low) / std).astype(np.float32), ((low - mean) / std).astype(np.float32)


class NetworkOutput(_Stated):
    """What the network's numbers mean."""

    name: str = ""
    """The output that is read; the first if empty."""
    classes: tuple[str, ...] = Field(min_length=1)
    """The name of each of its numbers, in their order."""
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    """What makes probabilities of its numbers: `none` if they are probabilities already."""
    multi_label: bool = False
    """Whether each number is for itself, so that several can be high at once: then only `reads` is read."""
    reads: str = ""
    """The one number that is read of a multi-label network; if empty, the target's."""

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes has a name twice")
        if len(self.classes) == 1 and self.activation == "softmax":
            raise ValueError("the softmax of a single number is always 1; activation is sigmoid or none")
        if self.reads and self.reads not in self.classes:
            raise ValueError(f"reads is {self.reads}, which is none of {', '.join(self.classes)}")
        return self

    @property
    def one_by_one(self) -> bool:
        """Whether one number is read and the rest is its opposite."""
        return self.multi_label or len(self.classes) == 1 or (self.activation == "sigmoid")


class OnnxDescription(_Stated):
    """The content of ``model.toml``."""

    name: str = Field(min_length=1)
    """What the model is called in reports."""
    network: str = Field(min_length=1)
    """The ONNX file, beside this one."""
    sha256: str = ""
    """Of the ONNX file; if given, another file is refused."""
    target: str
    """The class set against the rest."""
    labels: Mapping[str, tuple[str, ...]] = {}
    """The manifest's labels of each class; `*` is every other diagnosis. Else a class holds its name. If one number
    is read, two classes may have other names than it: that of which it is the probability, and its opposite."""
    trained_sources: tuple[str, ...] | None = None
    """The manifest's sources that the model was trained on; if not given, it isn't known which are internal."""
    input: NetworkInput = NetworkInput()
    output: NetworkOutput
    decision: Decision | None = None
    """The thresholds `low` and `high` of the target's probability, if the model is used with some."""

    @model_validator(mode="after")
    def _target_is_a_class(self) -> Self:
        if self.output.one_by_one and self.read not in self.output.classes:
            raise ValueError(f"output.reads must be one of {', '.join(self.output.classes)}")
        if self.target not in self.classes:
            raise ValueError(f"target is {self.target}, which is none of {', '.join(self.classes)}")
        if unknown := set(self.labels) - set(self.classes):
            raise ValueError(f"labels names {min(unknown)}, which is none of {', '.join(self.classes)}")
        return self

    @property
    def read(self) -> str:
        """The one number that is read, if each is for itself; empty if it isn't said which."""
        if self.output.reads or len(self.output.classes) == 1:
            return self.output.reads or self.output.classes[0]
        return self.target if self.target in self.output.classes else ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The model's classes: those of its output, or the one that is read and its opposite."""
        if not self.output.one_by_one:
            return self.output.classes
        return tuple(self.labels) if len(self.labels) == 2 else (self.read, REST)

    @property
    def labels_of_classes(self) -> dict[str, tuple[str, ...]]:
        """The manifest's labels of each class."""
        opposite = self.classes[1] if self.output.one_by_one and not self.labels else ""
        return {name: self.labels.get(name, ("*",) if name == opposite else (name,)) for name in self.classes}

    def digest(self, network: bytes) -> str:
        """Twelve digits that differ where a prediction may."""
        acting = {"input": self.input.model_dump(), "output": self.output.model_dump(), "classes": self.classes}
        stated = json.dumps(acting, sort_keys=True).encode()
        return hashlib.sha256(hashlib.sha256(network).digest() + stated).hexdigest()[:12]

    def as_toml(self) -> str:
        """The file's text, every default written out."""
        stated = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        tables = {name: stated.pop(name) for name in ("labels", "input", "output", "decision") if name in stated}
        lines = [f"# How lungsight runs {self.network}: docs/how-to/evaluate-other-models.md", *_pairs(stated)]
        for name, table in tables.items():
            lines += [*([f"\n[{name}]"] if table else []), *_pairs(table)]
        return "\n".join(lines) + "\n"


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {json.dumps(value, ensure_ascii=False)}" for name, value in table.items()]


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name, ensure_ascii=False)


def read_description(path: Path) -> tuple[OnnxDescription, bytes]:
    """A ``model.toml`` and the bytes of its network. Raises OtherModelError."""
    try:
        stated = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        hint = "write it with `lungsight package wrap model.onnx`"
        raise OtherModelError(path, "there is no such file", hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OtherModelError(path, f"isn't TOML ({error})", "correct it") from error
    description = described(path, stated)
    network = path.parent / description.network
    if network.resolve().parent != path.parent.resolve():
        raise OtherModelError(path, "network names a file in another folder", "put the ONNX file beside it")
    content = read_network(network)
    if description.sha256 and hashlib.sha256(content).hexdigest() != description.sha256:
        raise OtherModelError(network, f"isn't the file that {path.name} describes", "wrap it again")
    return description, content


def described(subject: object, stated: Mapping[str, Any]) -> OnnxDescription:
    """The description in a table. Raises OtherModelError with the first thing that is wrong."""
    try:
        return OnnxDescription.model_validate(stated)
    except ValidationError as error:
        first = error.errors()[0]
        key, message = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        problem = f"{key}: {message}" if key else message
        raise OtherModelError(subject, problem, "see docs/how-to/evaluate-other-models.md for its keys") from error


def read_network(path: Path) -> bytes:
    """An ONNX file's bytes. Raises OtherModelError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise OtherModelError(path, "can't be read", "name the ONNX file") from error
