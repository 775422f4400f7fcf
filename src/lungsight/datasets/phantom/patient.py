"""The simulated patient and how the image is taken: all that varies between phantoms, drawn from seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

import numpy as np

from lungsight.datasets.phantom.projection import Tube
from lungsight.radiograph import View

#: From the middle of the lungs to the detector in a bedside image, in cm.
_BEHIND = 12.0
#: Magnification of the middle of the lungs in the reference anatomy, an upright PA image.
_UPRIGHT_FIELD = 1.064


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
    BEDSIDE = "bedside"
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
        portable: share of its images that are taken AP, of patients who sit.
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
        tube: before a patient who lies in bed; None for one who stands or sits.
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
    tube: Tube | None = None

    @property
    def supine(self) -> bool:
        """Taken at the bedside, of a patient who lies there."""
        return self.tube is not None

    @classmethod
    def of(cls, patient: PhantomPatient, hospital: Hospital, shot: int, view: View | None = None) -> Acquisition:
        """Draw the ``shot``-th image of ``patient`` at ``hospital``; never depends on the disease.

        Args:
            patient: who is imaged.
            hospital: where.
            shot: which image of this patient.
            view: PA standing or AP lying in bed; None leaves it to the hospital's habits, PA standing or AP sitting.
        """
        rng = Stream.ACQUISITION.generator(patient.seed, shot)
        portable = rng.random() < hospital.portable
        is_ap = portable if view is None else view is not View.PA
        taken = cls._standing_or_sitting(patient, hospital, rng, is_ap)
        return taken if view is None or not is_ap else taken._in_bed(Stream.BEDSIDE.generator(patient.seed, shot))

    @classmethod
    def _standing_or_sitting(
        cls, patient: PhantomPatient, hospital: Hospital, rng: np.random.Generator, is_ap: bool
    ) -> Acquisition:
        slack = 1.6 if is_ap else 1.0
        edges = rng.uniform(0.01, 0.05, 4) * (rng.random(4) < 0.6) * (rng.random() < hospital.collimation)
        return cls(
            seed=int(rng.integers(2**31)),
            view=View.AP if is_ap else View.PA,
            field=float(rng.normal(35.8, 1.2) * np.sqrt(patient.size)),
            centre=(float(rng.normal(0, 0.5 * slack)), float(rng.normal(0, 0.7 * slack))),
            tilt=float(np.deg2rad(rng.normal(0, 1.2 * slack))),
            rotation=float(np.deg2rad(np.clip(rng.normal(0, 2.5 * slack), -9, 9))),
            breath=float(rng.normal(0.0, 0.5) - (1.8 if is_ap else 0.0)),
            photons=float(hospital.photons * rng.lognormal(0, 0.35) * (0.6 if is_ap else 1.0)),
            blur=float(hospital.blur * rng.lognormal(0, 0.25)),
            scatter=float(rng.uniform(0.25, 0.55) * slack),
            darkest=float(rng.normal(0.5, 0.15) + 1.1 * (patient.girth - 1)),
            latitude=float(hospital.latitude * rng.lognormal(0, 0.11)),
            gamma=float(rng.lognormal(0, 0.16)),
            equalisation=float(np.clip(rng.normal(hospital.equalisation, 0.1), 0, 0.7)),
            collimated=(float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])),
            marker_side="L" if rng.random() < 0.7 else "R",
        )

    def _in_bed(self, rng: np.random.Generator) -> Acquisition:
        """The same image taken at the bedside: the tube a metre away, the diaphragm high, the patient not still."""
        distance = float(np.clip(rng.normal(88, 6), 72, 105))
        return replace(
            self,
            field=self.field * distance / (distance + _BEHIND) * _UPRIGHT_FIELD,
            breath=self.breath - float(np.clip(rng.normal(0.9, 0.5), 0, 2)),
            blur=self.blur * 1.25,
            tube=Tube(float(rng.normal(0, 1.5)), float(np.clip(rng.normal(15, 3), 8, 22)), distance),
        )
