"""The simulated patient and how the image is taken: all that varies between phantoms, drawn from seeds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np

from lungsight.radiograph import View


class Label(StrEnum):
    """What a phantom shows; the same words as a manifest's labels."""

    COVID19 = "covid19"
    OTHER_PNEUMONIA = "other_pneumonia"
    NO_PNEUMONIA = "no_pneumonia"


class Stream(StrEnum):
    """Independent random streams of one seed: another disease leaves the patient and the exposure as they were."""

    PATIENT = "patient"
    ANATOMY = "anatomy"
    ACQUISITION = "acquisition"
    DEVICES = "devices"
    DISEASE = "disease"
    NOISE = "noise"
    COLLECTION = "collection"
    SHORTCUT = "shortcut"

    def generator(self, *seeds: int) -> np.random.Generator:
        """Return the stream of these seeds."""
        return np.random.default_rng([int.from_bytes(self.value.encode()[:7], "big"), *seeds])


@dataclass(frozen=True, slots=True)
class PhantomPatient:
    """One simulated adult.

    Attributes:
        seed: what all else about the patient's anatomy and disease is drawn from.
        age: in years.
        size: lengths relative to the reference anatomy.
        girth: soft tissue relative to the reference, 1 is lean.
        heart: width of the heart relative to the reference.
        inspiration: the usual height of the diaphragm's domes, in cm below the reference.
    """

    seed: int
    sex: Literal["F", "M"]
    age: int
    size: float
    girth: float
    heart: float
    breast: float
    inspiration: float

    @classmethod
    def from_seed(cls, seed: int) -> PhantomPatient:
        """Draw a patient."""
        rng = Stream.PATIENT.generator(seed)
        sex: Literal["F", "M"] = "F" if rng.random() < 0.5 else "M"
        age = int(np.clip(rng.normal(56, 17), 18, 95))
        girth = float(np.clip(rng.lognormal(0.12, 0.16), 0.85, 1.65))
        return cls(
            seed=seed,
            sex=sex,
            age=age,
            size=float(np.clip(rng.normal(0.95 if sex == "F" else 1.02, 0.045), 0.84, 1.14)),
            girth=girth,
            heart=float(np.clip(rng.normal(0.97 + 0.0025 * (age - 50), 0.08), 0.8, 1.3)),
            breast=float(rng.uniform(0.5, 1.3) * girth) if sex == "F" else 0.0,
            inspiration=float(rng.normal(0.0, 0.8)),
        )


@dataclass(frozen=True, slots=True)
class Hospital:
    """A simulated source of images, with its own habits and machine.

    Attributes:
        portable: share of its images that are taken AP at the bedside.
        photons: per pixel of 0.1 cm behind 2 units of attenuation; fewer make a noisier image.
        blur: of the detector, standard deviation in cm.
        equalisation: how strongly the vendor's processing flattens large shadows, 0…1.
        latitude: attenuation between black and white; small is a hard image.
        aspect: width of the image divided by its height.
        marker: what the radiographer's side marker looks like.
        collimation: share of images with a visible collimator edge.
    """

    name: str
    portable: float = 0.3
    photons: float = 6000.0
    blur: float = 0.035
    equalisation: float = 0.3
    latitude: float = 3.9
    aspect: float = 1.0
    marker: Literal["plain", "boxed", "word"] = "plain"
    collimation: float = 0.15


HOSPITALS = (
    Hospital("phantom-north"),
    Hospital(
        "phantom-south",
        portable=0.5,
        photons=2500.0,
        blur=0.06,
        equalisation=0.45,
        latitude=3.4,
        aspect=0.9,
        marker="boxed",
        collimation=0.35,
    ),
)


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How one image was taken.

    Attributes:
        field: height of the image at the patient, in cm.
        centre: where the middle of the image lies relative to the reference, x and y in cm.
        tilt: of the patient in the image plane, in radians.
        rotation: of the patient about the long axis, in radians; moves what lies in front against the spine.
        breath: depth of this breath: how many cm lower than usual the domes are.
        darkest: attenuation shown as black; moves the brightness of the whole image.
        gamma: of the display curve.
        scatter: scattered divided by primary intensity behind the thickest part.
    """

    seed: int
    view: View
    field: float
    centre: tuple[float, float]
    tilt: float
    rotation: float
    breath: float
    photons: float
    blur: float
    scatter: float
    darkest: float
    latitude: float
    gamma: float
    equalisation: float
    collimated: tuple[float, float, float, float]
    marker_side: Literal["L", "R"]

    @classmethod
    def of(cls, patient: PhantomPatient, hospital: Hospital, shot: int) -> Acquisition:
        """Draw the ``shot``-th image of ``patient`` at ``hospital``; never depends on the disease."""
        rng = Stream.ACQUISITION.generator(patient.seed, shot)
        at_bedside = rng.random() < hospital.portable
        slack = 1.6 if at_bedside else 1.0
        edges = rng.uniform(0.01, 0.05, 4) * (rng.random(4) < 0.6) * (rng.random() < hospital.collimation)
        return cls(
            seed=int(rng.integers(2**31)),
            view=View.AP if at_bedside else View.PA,
            field=float(rng.normal(35.8, 1.2) * np.sqrt(patient.size)),
            centre=(float(rng.normal(0, 0.5 * slack)), float(rng.normal(0, 0.7 * slack))),
            tilt=float(np.deg2rad(rng.normal(0, 1.2 * slack))),
            rotation=float(np.deg2rad(np.clip(rng.normal(0, 2.5 * slack), -9, 9))),
            breath=float(rng.normal(0.0, 0.5) - (1.8 if at_bedside else 0.0)),
            photons=float(hospital.photons * rng.lognormal(0, 0.35) * (0.6 if at_bedside else 1.0)),
            blur=float(hospital.blur * rng.lognormal(0, 0.25)),
            scatter=float(rng.uniform(0.25, 0.55) * slack),
            darkest=float(rng.normal(0.5, 0.15) + 1.1 * (patient.girth - 1)),
            latitude=float(hospital.latitude * rng.lognormal(0, 0.11)),
            gamma=float(rng.lognormal(0, 0.16)),
            equalisation=float(np.clip(rng.normal(hospital.equalisation, 0.1), 0, 0.7)),
            collimated=(float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])),
            marker_side="L" if rng.random() < 0.7 else "R",
        )
