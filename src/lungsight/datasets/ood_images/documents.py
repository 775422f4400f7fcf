"""Documents: pages of text, plots, screenshots, slides, sheets of radiographs, drawings, masks."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.ood_images.canvas import (
    SIDE,
    clouds,
    field,
    paste,
    squared,
    stretched,
    word,
    write,
    write_lines,
)
from lungsight.datasets.ood_images.kinds import Floats, Kind, Radiographs, family


def _paper(rng: np.random.Generator) -> tuple[Floats, float]:
    """An empty page and the ink that shows on it; some pages are dark."""
    paper = float(rng.uniform(0.85, 1.0))
    ink = float(rng.uniform(0.0, 0.25))
    if rng.random() < 0.3:
        paper, ink = ink, paper
    return np.full((SIDE, SIDE), paper, np.float32), ink


@family(Kind.DOCUMENT)
def text_page(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A page or a form: a title, one to three columns, perhaps a table's lines."""
    page, ink = _paper(rng)
    size = float(rng.uniform(0.16, 0.5))
    columns = int(rng.integers(1, 4))
    width = (SIDE - 24) // columns
    for column in range(columns):
        left = 12 + column * width
        write_lines(
            page, (left, int(rng.uniform(8, 50)), left + width - 8, int(rng.uniform(150, 250))), ink, size, rng
        )
    if rng.random() < 0.6:
        write(page, word(rng, 14), (int(rng.uniform(8, 80)), int(rng.uniform(16, 40))), ink, 0.9, rng, 2)
    if rng.random() < 0.35:
        for row in range(int(rng.uniform(20, 60)), SIDE, int(rng.uniform(14, 40))):
            cv2.line(page, (8, row), (SIDE - 8, row), ink, 1)
    return page


@family(Kind.DOCUMENT)
def plot(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Axes with lines, bars, points, or a matrix."""
    page, ink = _paper(rng)
    left, bottom = int(rng.uniform(20, 50)), int(rng.uniform(200, 240))
    style = rng.choice(["line", "bar", "points", "matrix"])
    if style == "matrix":
        cells = rng.random((int(rng.integers(2, 12)),) * 2).astype(np.float32)
        tile = cv2.resize(cells, (SIDE - left - 15, bottom - 20), interpolation=cv2.INTER_NEAREST)
        page[20:bottom, left : SIDE - 15] = tile
    for _ in range(int(rng.integers(1, 5)) if style != "matrix" else 0):
        x = np.linspace(left, SIDE - 12, int(rng.integers(4, 60)))
        y = bottom - 8 - stretched(np.cumsum(rng.standard_normal(len(x)))) * rng.uniform(60, 170)
        shade = float(rng.uniform(min(ink, 0.5), max(ink, 0.5)))
        points = np.stack([x, y], 1).astype(np.int32)
        if style == "line":
            cv2.polylines(page, [points], False, shade, int(rng.integers(1, 4)), cv2.LINE_AA)
        for column, row in points if style != "line" else []:
            if style == "bar":
                cv2.rectangle(page, (int(column), int(row)), (int(column) + 5, bottom), shade, -1)
            else:
                cv2.circle(page, (int(column), int(row)), int(rng.integers(1, 5)), shade, -1, cv2.LINE_AA)
    cv2.line(page, (left, 15), (left, bottom), ink, 1)
    cv2.line(page, (left, bottom), (SIDE - 10, bottom), ink, 1)
    for n in range(6):
        write(page, word(rng, 3), (left + n * 35, bottom + 14), ink, 0.3, rng)
        write(page, word(rng, 2), (2, bottom - n * 35), ink, 0.3, rng)
    return page


@family(Kind.DOCUMENT, "broken")
def screenshot(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A window: bars, panels, buttons, text, and often a picture or a image, which doesn't fill it."""
    page, ink = _paper(rng)
    bar = int(rng.uniform(10, 30))
    page[:bar] = rng.uniform(0.2, 0.8)
    write(page, word(rng, 14), (8, bar - 3), ink, 0.3, rng)
    side = int(rng.uniform(0, 90))
    page[bar:, :side] = rng.uniform(0, 1)
    write_lines(page, (4, bar + 5, max(side - 4, 5), SIDE), 1 - ink, 0.25, rng)
    for _ in range(int(rng.integers(1, 6))):
        left, top = int(rng.uniform(side, 200)), int(rng.uniform(bar, 200))
        right, bottom = int(min(left + rng.uniform(20, 110), 252)), int(min(top + rng.uniform(8, 110), 252))
        what = rng.random()
        if what < 0.35:
            shown = radiographs(rng) if rng.random() < 0.5 else clouds(rng, 1.2, (64, 64))
            paste(page, shown, (left, top, right, bottom))
        elif what < 0.7:
            write_lines(page, (left, top, right, bottom), ink, float(rng.uniform(0.2, 0.4)), rng)
        else:
            cv2.rectangle(page, (left, top), (right, bottom), float(rng.random()), int(rng.choice([-1, 1, 2])))
    return page


@family(Kind.DOCUMENT, "broken")
def slide(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """A page of a paper or a talk with a image in it, and words around it."""
    page, ink = _paper(rng)
    width, height = rng.uniform(80, 150, 2).astype(int)
    left, top = int(rng.uniform(8, SIDE - width - 8)), int(rng.uniform(30, SIDE - height - 8))
    paste(page, radiographs(rng), (left, top, left + width, top + height))
    write(page, word(rng, 14), (10, 22), ink, float(rng.uniform(0.4, 0.8)), rng, 2)
    for box in ((4, 30, left - 6, 250), (left + width + 6, 30, 250, 250), (4, top + height + 4, 250, 252)):
        if box[2] - box[0] > 24 and rng.random() < 0.85:
            write_lines(page, box, ink, float(rng.uniform(0.2, 0.45)), rng)
    return page


@family(Kind.DOCUMENT, "broken")
def several_films(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Two to nine radiographs on one sheet, as figures of papers and viewers show them."""
    rows, columns = [(1, 2), (2, 1), (2, 2), (1, 3), (2, 3), (3, 3)][int(rng.integers(6))]
    page = np.full((SIDE, SIDE), float(rng.choice([0.0, 1.0])), np.float32)
    gap = int(rng.integers(0, 9))
    for row in range(rows):
        for column in range(columns):
            left, top = column * SIDE // columns, row * SIDE // rows
            box = (left + gap, top + gap, (column + 1) * SIDE // columns - gap, (row + 1) * SIDE // rows - gap)
            paste(page, radiographs(rng), box)
            if rng.random() < 0.4:
                write(page, word(rng, 1), (box[0] + 4, box[1] + 16), float(rng.random()), 0.5, rng)
    return page


@family(Kind.DOCUMENT)
def drawing(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Lines, circles and polygons: diagrams, icons, children's drawings."""
    page, ink = _paper(rng)
    if rng.random() < 0.3:
        page[:] = rng.random()
    for _ in range(int(rng.integers(2, 30))):
        shade = float(rng.uniform(0, 1)) if rng.random() < 0.4 else ink
        thick = int(rng.choice([-1, 1, 2, 3, 5]))
        points = rng.uniform(0, SIDE, (int(rng.integers(3, 7)), 2)).astype(np.int32)
        shape = rng.choice(["circle", "polygon", "line", "word"])
        if shape == "circle":
            cv2.circle(page, tuple(map(int, points[0])), int(rng.uniform(3, 70)), shade, thick, cv2.LINE_AA)
        elif shape == "polygon" and thick > 0:
            cv2.polylines(page, [points], True, shade, thick, cv2.LINE_AA)
        elif shape == "polygon":
            cv2.fillPoly(page, [points], shade, cv2.LINE_AA)
        elif shape == "line":
            cv2.polylines(page, [points], False, shade, abs(thick), cv2.LINE_AA)
        else:
            column, row = (int(v) for v in points[0])
            write(page, word(rng, 5), (column, row), shade, float(rng.uniform(0.3, 2)), rng, abs(thick))
    return page


@family(Kind.DOCUMENT, "broken")
def mask(rng: np.random.Generator, radiographs: Radiographs) -> Floats:
    """Flat shapes as segmentations show them: blobs, or a radiograph's own dark regions, in a few grey levels."""
    if rng.random() < 0.5:
        base = field(rng, float(rng.uniform(8, 40)))
    else:
        image = squared(radiographs(rng))
        base = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(3, 8))), np.float32)
    levels = np.quantile(base, np.sort(rng.uniform(0.2, 0.9, int(rng.integers(1, 4)))))
    drawn = np.digitize(base, levels) / len(levels)
    return np.asarray(1 - drawn if rng.random() < 0.5 else drawn, dtype=np.float32)
