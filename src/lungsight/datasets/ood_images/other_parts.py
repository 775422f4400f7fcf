"""Simulated radiographs of other parts of the body.

They are Beer–Lambert shadows of soft tissue and of bones as tubes and ellipsoids, in cm: crude, but bright bones on a
dark ground, as a hand, a skull, a limb or an abdomen has them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lungsight.datasets.ood_images.canvas import SIDE, field, stretched
from lungsight.datasets.ood_images.kinds import Floats, Kind, Radiographs, family
from lungsight.datasets.phantom.projection import Grid, Plane, ellipsoid, tubes

_SOFT, _BONE = 0.2, 0.55  # attenuation per cm, at about 70 kV


@dataclass(frozen=True, eq=False)
class _Shadow:
    """Path lengths through soft tissue and through bone, in cm [side, side]."""

    grid: Grid
    soft: Plane
    bone: Plane

    @classmethod
    def empty(cls, rng: np.random.Generator, field_cm: float) -> _Shadow:
        centre = (float(rng.normal(0, 0.06 * field_cm)), float(rng.normal(0, 0.06 * field_cm)))
        grid = Grid.of(SIDE, SIDE, field_cm * rng.uniform(0.85, 1.3), centre, float(rng.normal(0, 0.3)))
        nothing = np.zeros((SIDE, SIDE), np.float32)
        return cls(grid, nothing, nothing)

    def with_limb(self, ends: np.ndarray, radius: float) -> _Shadow:
        """Soft tissue around the line between two ends [2, 2]; where limbs overlap the thicker one counts."""
        return replace(self, soft=np.maximum(self.soft, _rod(self.grid, ends, (radius, radius * 0.9))))

    def with_bone(self, ends: np.ndarray, radius: float, wall: float = 0.35) -> _Shadow:
        """A long bone: a hollow shaft, thicker at both ends, of spongy bone there."""
        waist = tuple(radius * f for f in (1.45, 1.1, 0.9, 0.9, 1.1, 1.45))
        shell = _rod(self.grid, ends, waist, wall=wall * radius) + 0.25 * _rod(self.grid, ends, waist)
        return replace(self, bone=self.bone + shell)

    def with_round(self, place: tuple[float, float], half: tuple[float, float], depth: float) -> _Shadow:
        return replace(self, bone=self.bone + ellipsoid(self.grid, place, half, depth))

    def with_flesh(self, place: tuple[float, float], half: tuple[float, float], depth: float) -> _Shadow:
        return replace(self, soft=np.maximum(self.soft, ellipsoid(self.grid, place, half, depth)))

    def seen(self, rng: np.random.Generator) -> Floats:
        """As a detector and its display show it."""
        spongy = 1 + 0.12 * field(rng, 1.5)
        attenuation = _SOFT * self.soft * (1 + 0.04 * field(rng, 8)) + _BONE * self.bone * spongy
        noise = rng.uniform(0.005, 0.04) * field(rng, 0.6)
        return stretched(attenuation + noise * np.sqrt(attenuation + 0.1)) ** np.float32(rng.uniform(0.5, 1.2))


def _rod(grid: Grid, ends: np.ndarray, radii: tuple[float, ...], wall: float | None = None) -> Plane:
    t = np.linspace(0, 1, len(radii))[:, None]
    path = np.concatenate([ends[0] * (1 - t) + ends[1] * t, 0 * t], axis=1)[None]
    return tubes(grid, path, np.array(radii)[None], wall=wall)


@family(Kind.OTHER_PART)
def hand(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Five fingers of three bones, the palm's five, the wrist's pebbles, the ends of the forearm."""
    shadow = _Shadow.empty(rng, 22.0)
    for finger in range(5):
        angle = (finger - 2) * rng.uniform(0.13, 0.3) + rng.normal(0, 0.05) - (0.5 if finger == 0 else 0)
        way = np.array([np.sin(angle), -np.cos(angle)])
        start = np.array([(finger - 2) * 1.2, 3.0])
        for length in (4.8, 3.8, 2.5, 1.9)[: 3 if finger == 0 else 4]:
            end = start + way * length * rng.uniform(0.9, 1.1)
            shadow = shadow.with_limb(np.stack([start, end]), 0.95).with_bone(np.stack([start, end]), 0.38)
            start = end + 0.25 * way
    shadow = shadow.with_flesh((0, 3), (4.2, 5.0), 2.8)
    for _ in range(8):
        shadow = shadow.with_round((rng.uniform(-2, 2), rng.uniform(3.6, 5.6)), (0.75, 0.65), 1.0)
    for across in (-1.2, 1.1):
        ends = np.array([[across, 6.2], [across * 0.9, 14.0]])
        shadow = shadow.with_limb(ends, 2.3).with_bone(ends, 0.75)
    return shadow.seen(rng)


@family(Kind.OTHER_PART)
def limb(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """An upper or lower arm or leg, or a joint: one or two shafts, meeting another."""
    shadow = _Shadow.empty(rng, 30.0)
    girth = rng.uniform(2.5, 7)
    bend = rng.normal(0, 0.5)
    joint = np.array([rng.normal(0, 1), rng.uniform(-6, 6)])
    for way, shafts in (
        (np.array([np.sin(bend), -np.cos(bend)]), 1),
        (np.array([0.0, 1.0]), int(rng.integers(1, 3))),
    ):
        shadow = shadow.with_limb(np.stack([joint, joint + way * 30]), girth)
        for n in range(shafts):
            beside = np.array([(n - (shafts - 1) / 2) * girth * 0.8, 0.0])
            ends = np.stack([joint + beside + way * 0.4, joint + beside + way * rng.uniform(18, 34)])
            shadow = shadow.with_bone(ends, girth * rng.uniform(0.25, 0.42) / shafts**0.5)
    if rng.random() < 0.4:
        shadow = shadow.with_round((float(joint[0]), float(joint[1])), (1.8, 1.9), 1.5)
    return shadow.seen(rng)


@family(Kind.OTHER_PART)
def foot(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """From the side: heel, ankle, long toes; the shin above."""
    shadow = _Shadow.empty(rng, 26.0).with_flesh((-4, 4), (9, 3.4), 6).with_flesh((2, 2), (5, 4), 6)
    shadow = (
        shadow.with_round((5, 5), (3.4, 2.2), 3.2)
        .with_round((2.6, 1.6), (2.3, 1.6), 3)
        .with_round((-1, 3), (1.9, 1.3), 2.4)
    )
    shin = np.array([[2.6, 0.2], [3.4, -16.0]])
    shadow = shadow.with_limb(shin, 3.6).with_bone(shin, 1.3).with_bone(shin + np.array([1.6, 0.8]), 0.6)
    for toe in range(5):
        start = np.array([-2.4, 3.4 + toe * 0.5])
        end = start + np.array([-6.5, 1.8 - 0.1 * toe])
        shadow = shadow.with_bone(np.stack([start, end]), 0.5)
        shadow = shadow.with_bone(np.stack([end, end + np.array([-2.6, 0.3])]), 0.42)
    return shadow.seen(rng)


@family(Kind.OTHER_PART)
def skull(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """From the front or the side: a shell, sockets, jaw with teeth, the neck's bones."""
    shadow = _Shadow.empty(rng, 27.0)
    sideways = rng.random() < 0.5
    half = (9.4 if sideways else 7.6, 9.0)
    shell = ellipsoid(shadow.grid, (0, -3), half, 14) - ellipsoid(shadow.grid, (0, -3), (half[0] - 0.7, 8.3), 12.9)
    shadow = replace(shadow, bone=shadow.bone + np.maximum(shell, 0)).with_flesh((0, -2), (half[0] + 0.6, 10.5), 15)
    front = -5.5 if sideways else 0.0
    for side in (-1, 1):
        rim = ellipsoid(shadow.grid, (front + side * (0.6 if sideways else 3.2), 1.4), (2.2, 1.9), 2)
        hole = ellipsoid(shadow.grid, (front + side * (0.6 if sideways else 3.2), 1.4), (1.9, 1.6), 2)
        shadow = replace(shadow, bone=shadow.bone + np.maximum(rim - 0.9 * hole, 0))
    jaw = np.array([[front - 3.5, 9.0], [front + (6.0 if sideways else 3.5), 9.0 - (3 if sideways else 0)]])
    shadow = shadow.with_bone(jaw, 1.1).with_flesh((front / 2, 7), (6, 5), 12)
    for tooth in range(10):
        for row in (6.6, 7.9):
            shadow = shadow.with_round((front - 2.9 + 0.64 * tooth, row), (0.3, 0.7), 1.6)
    for bone in range(5):
        shadow = shadow.with_round((2.2 if sideways else 0.0, 8.6 + 1.9 * bone), (1.6, 0.8), 2.6)
    return shadow.with_flesh((1, 13), (5.5, 9), 11).seen(rng)


@family(Kind.OTHER_PART)
def abdomen(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """The lower spine, the pelvis, the thighs' heads; bowel gas; no lungs."""
    shadow = _Shadow.empty(rng, 42.0).with_flesh((0, 2), (rng.uniform(15, 20), 32), 21)
    for bone in range(9):
        place = -16 + 3.4 * bone
        shadow = shadow.with_round((0, place), (2.4, 1.5), 3.2).with_round((0, place), (4.6, 0.5), 0.7)
    for side in (-1, 1):
        shadow = shadow.with_round((side * 8.2, 9.5), (5.4, 6.6), 2.2).with_round((side * 10.5, 16.5), (2.6, 2.6), 4)
        shadow = shadow.with_bone(np.array([[side * 12, 17.5], [side * 13.2, 32]]), 1.7)
        shadow = shadow.with_bone(np.array([[side * 2, 18.5], [side * 8, 16.5]]), 1.0)
        for rib in range(3):
            ends = np.array([[side * 3, -15 + 3 * rib], [side * 14, -11 + 4 * rib]])
            shadow = shadow.with_bone(ends, 0.5)
    gas = np.zeros_like(shadow.soft)
    for _ in range(int(rng.integers(3, 14))):
        bubble = (rng.uniform(-12, 12), rng.uniform(-12, 12))
        gas += ellipsoid(shadow.grid, bubble, (rng.uniform(1, 3.5), rng.uniform(0.8, 2.2)), rng.uniform(1, 4))
    return replace(shadow, soft=np.maximum(shadow.soft - gas, 0)).seen(rng)


@family(Kind.OTHER_PART)
def spine(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A column of bones in soft tissue, from the front or bent, as of the neck or the back from the side."""
    shadow = _Shadow.empty(rng, rng.uniform(18, 32)).with_flesh((rng.normal(0, 2), 0), (rng.uniform(7, 14), 40), 16)
    bend, step = rng.normal(0, 0.02), rng.uniform(1.9, 3.8)
    for bone in range(-9, 10):
        row = bone * step
        column = bend * row * row
        shadow = shadow.with_round((column, row), (step * 0.62, step * 0.44), step)
        shadow = shadow.with_round((column + step * rng.choice([0.0, 0.9]), row), (step * 0.7, step * 0.16), step / 2)
    return shadow.seen(rng)


@family(Kind.OTHER_PART)
def breast(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A mammogram: a half-disc of soft tissue with strands, at one edge; muscle in a corner."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    reach = np.hypot(columns / rng.uniform(0.5, 0.85), (rows - rng.uniform(0.4, 0.6)) / rng.uniform(0.4, 0.6))
    inside = np.clip((1 - reach) * 6, 0, 1)
    strands = np.abs(field(rng, 5)) * np.clip(1 - reach, 0, 1) + 0.4 * field(rng, 1.2)
    muscle = np.clip((0.5 - columns * rng.uniform(1.3, 3) - rows) * 8, 0, 1)
    drawn = inside * (0.5 + 0.2 * strands) + 0.5 * muscle * inside
    return stretched(drawn[:, ::-1] if rng.random() < 0.5 else drawn)


@family(Kind.OTHER_PART)
def teeth(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Two rows of teeth with roots in bone, as a dentist's film or a panorama has them."""
    drawn = 0.35 + 0.08 * field(rng, 2) + 0.1 * field(rng, 20)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    count = int(rng.integers(4, 17))
    bow = rng.uniform(-40, 40)
    for jaw in (-1, 1):
        for tooth in range(count):
            x = (tooth + 0.5) * SIDE / count + rng.normal(0, 2)
            y = SIDE / 2 + bow * (1 - (2 * x / SIDE - 1) ** 2) + jaw * SIDE * 0.13
            shape = np.abs((columns - x) / (SIDE / count * 0.42)) ** 3 + np.abs((rows - y) / (SIDE * 0.12)) ** 3
            root = np.abs((columns - x) / (SIDE / count * 0.25)) ** 2 + np.abs((rows - y - jaw * 38) / 45) ** 2
            drawn = np.where((shape < 1) | (root < 1), 0.75 + 0.1 * (shape < 1) + 0.04 * jaw, drawn)
    return stretched(drawn)
