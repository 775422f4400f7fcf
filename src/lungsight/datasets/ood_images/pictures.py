"""Pictures that stand in for photographs and paintings: scenes of overlapping things, textures, noise."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.ood_images.canvas import SIDE, clouds, field, stretched
from lungsight.datasets.ood_images.kinds import Floats, Kind, Radiographs, family


@family(Kind.PICTURE)
def dead_leaves(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Things of every size before one another (Lee, Mumford and Huang 2001).

    They have the edges and sizes of natural scenes without their contents.
    """
    picture = np.full((SIDE, SIDE), float(rng.random()), np.float32)
    grain = clouds(rng, 1.2) - 0.5
    for _ in range(int(rng.integers(60, 400))):
        radius = int(np.clip(4 / np.sqrt(rng.random() + 2e-3), 3, 90))
        place = tuple(map(int, rng.uniform(0, SIDE, 2)))
        axes = (radius, max(2, int(radius * rng.uniform(0.3, 1))))
        shade, turn = float(rng.random()), float(rng.uniform(0, 180))
        if rng.random() < 0.6:
            cv2.ellipse(picture, place, axes, turn, 0, 360, shade, -1, cv2.LINE_AA)
        else:
            corners = cv2.boxPoints((place, axes, turn)).astype(np.int32)
            cv2.fillPoly(picture, [corners], shade, cv2.LINE_AA)
    shaded = picture + grain * rng.uniform(0, 0.5)
    return stretched(cv2.GaussianBlur(shaded, (0, 0), float(rng.uniform(0.3, 1.5))))


@family(Kind.PICTURE)
def landscape(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Sky, horizon and ground in bands, with trees or houses as dark shapes."""
    rows = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None]
    picture = rng.uniform(0.5, 1) - rng.uniform(-0.4, 0.4) * rows + 0.15 * field(rng, 20)
    for level in np.sort(rng.uniform(0.25, 0.9, int(rng.integers(1, 4)))):
        outline = SIDE * level + 12 * field(rng, float(rng.uniform(4, 30)), (1, SIDE))[0]
        below = np.arange(SIDE)[:, None] > outline[None]
        ground = rng.uniform(0, 0.8) + 0.12 * field(rng, float(rng.uniform(0.6, 4)))
        picture = np.where(below, ground, picture)
    for _ in range(int(rng.integers(0, 8))):
        left, top = int(rng.uniform(0, SIDE)), int(rng.uniform(60, 200))
        picture[top : top + int(rng.uniform(20, 100)), left : left + int(rng.uniform(3, 40))] = rng.random()
    return np.asarray(np.clip(picture, 0, 1), dtype=np.float32)


@family(Kind.PICTURE)
def face(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A head and shoulders before a background, as in a portrait: light skin, dark eyes, hair."""
    picture = rng.uniform(0, 1) + 0.2 * field(rng, float(rng.uniform(4, 40)))
    picture = np.ascontiguousarray(picture, dtype=np.float32)
    x, y = int(rng.uniform(90, 166)), int(rng.uniform(80, 130))
    wide = int(rng.uniform(30, 60))
    tall = int(wide * rng.uniform(1.2, 1.5))
    skin, hair, cloth = (float(v) for v in rng.uniform((0.4, 0, 0), (0.95, 0.9, 1)))
    cv2.ellipse(picture, (x, SIDE), (int(wide * 2.1), SIDE - y - tall // 2), 0, 0, 360, cloth, -1, cv2.LINE_AA)
    cv2.ellipse(picture, (x, y - tall // 5), (int(wide * 1.15), tall), 0, 0, 360, hair, -1, cv2.LINE_AA)
    cv2.ellipse(picture, (x, y), (wide, tall), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for eye in (-1, 1):
        cv2.ellipse(picture, (x + eye * wide // 2, y - tall // 6), (wide // 5, wide // 9), 0, 0, 360, 0.1, -1)
    cv2.ellipse(picture, (x, y + tall // 2), (wide // 3, wide // 9), 0, 0, 180, skin * 0.5, 2, cv2.LINE_AA)
    shade = 0.08 * field(rng, 12)
    return np.asarray(np.clip(picture + shade, 0, 1), dtype=np.float32)


@family(Kind.PICTURE)
def texture(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Clouds, grain, stripes, tiles, cells, gradients."""
    style = rng.choice(["clouds", "stripes", "tiles", "cells", "gradient"])
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    if style == "clouds":
        return clouds(rng, float(rng.uniform(0, 2.2)))
    bend = 0.05 * field(rng, float(rng.uniform(5, 40)))
    if style == "stripes":
        turn = rng.uniform(0, np.pi)
        wave = np.sin((columns * np.cos(turn) + rows * np.sin(turn) + bend) * rng.uniform(10, 120))
        return stretched(wave + 0.3 * field(rng, 1))
    if style == "tiles":
        n = rng.uniform(3, 25, 2)
        return stretched(np.sign(np.sin(rows * n[0] * 6 + bend)) * np.sign(np.sin(columns * n[1] * 6)) + 3 * bend)
    if style == "cells":
        ridges = np.abs(field(rng, float(rng.uniform(2, 10))))
        spots = field(rng, float(rng.uniform(1, 4))) > rng.uniform(1, 2)
        return stretched(ridges - rng.uniform(0, 2) * spots)
    turn = rng.uniform(0, 2 * np.pi)
    ramp = columns * np.cos(turn) + rows * np.sin(turn)
    round_ = np.hypot(columns - rng.random(), rows - rng.random())
    return stretched(ramp if rng.random() < 0.5 else round_)


@family(Kind.PICTURE, "broken")
def photographed_film(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A film on a light box or a screen, photographed at an angle among other things."""
    scene = dead_leaves.draw(rng, radiographs) * rng.uniform(0.3, 0.8) if rng.random() < 0.6 else clouds(rng, 1.3)
    box = np.full((SIDE, SIDE), float(rng.uniform(0.0, 1.0)), np.float32)
    edge = int(rng.uniform(4, 30))
    box[edge:-edge, edge:-edge] = cv2.resize(radiographs(rng), (SIDE - 2 * edge,) * 2)
    if rng.random() < 0.5:
        box = 1 - box  # the light box's film read as a photograph is: black where it lets light through
    size = rng.uniform(0.45, 0.75) * SIDE
    corner = rng.uniform(0.02 * SIDE, SIDE - size, 2)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    target = (corner + square * size + rng.uniform(-0.14, 0.14, (4, 2)) * size).astype(np.float32)
    lens = cv2.getPerspectiveTransform(square * (SIDE - 1), target)
    film = cv2.warpPerspective(box, lens, (SIDE, SIDE))
    inside = cv2.warpPerspective(np.ones_like(box), lens, (SIDE, SIDE))
    glare = np.clip(0.3 * field(rng, 30), 0, 1)
    return np.asarray(np.clip(scene * (1 - inside) + film * inside + glare, 0, 1), dtype=np.float32)
