"""Path lengths along the beam: through ellipsoids by their closed form, through swept tubes by their area element.

Lengths are in centimetres of the reference anatomy: x runs to the image's right (the patient's left) from the
midline, y runs down from the top of the lungs, z runs along the beam, from the middle of the lungs to the front.
The reference anatomy is what an upright PA image at 1.8 m shows. A bedside image is taken from the other side and
from nearer: there what lies in front is larger and what lies behind is smaller, by the distance of the X-ray tube.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
#: Coordinates, lengths and masses before they become a plane.
Values = NDArray[Any]
#: From the X-ray tube to the middle of the lungs in the reference anatomy, an upright PA image at 1.83 m, in cm.
_UPRIGHT = 172.0


class Tube(NamedTuple):
    """The X-ray tube before the chest of a patient in bed.

    Attributes:
        x, y: where the beam meets the detector at a right angle.
        distance: from the middle of the lungs, in cm.
    """

    x: float
    y: float
    distance: float

    def magnification(self, z: Values | float) -> Values | float:
        """Return how many times larger than in the reference anatomy something at ``z`` is, relative to the lungs.

        What is nearer to the tube is seen larger: here what is in front, in PA what is behind.
        """
        return self.distance / (self.distance - z) * (_UPRIGHT + z) / _UPRIGHT


@dataclass(frozen=True, eq=False)
class Grid:
    """The detector's pixels in the patient's coordinates.

    Attributes:
        x, y: float32 [height, width], where each pixel's beam meets the patient, in cm.
        pitch: distance between pixels, in cm.
        tube: of a bedside image; None shows the reference anatomy as it is.
        z: the plane that x and y are measured in.
    """

    x: Plane
    y: Plane
    pitch: float
    tilt: float
    origin: tuple[float, float]
    tube: Tube | None = None
    z: float = 0.0

    @classmethod
    def of(
        cls,
        height: int,
        width: int,
        field: float,
        centre: tuple[float, float],
        tilt: float,
        tube: Tube | None = None,
    ) -> Grid:
        """``height`` × ``width`` pixels, ``field`` cm high, its middle at ``centre``, turned by ``tilt`` radians."""
        pitch = field / height
        columns = ((np.arange(width) + 0.5 - width / 2) * pitch).astype(np.float32)[None, :]
        rows = ((np.arange(height) + 0.5 - height / 2) * pitch).astype(np.float32)[:, None]
        cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
        x = np.float32(centre[0]) + cos * columns + sin * rows
        y = np.float32(centre[1]) - sin * columns + cos * rows
        return cls(x, y, pitch, tilt, centre, tube)

    def at(self, z: float) -> Grid:
        """Return the same pixels in the plane ``z`` of the patient, which another magnification shows."""
        if self.tube is None:
            return self
        scale = float(self.tube.magnification(self.z) / self.tube.magnification(z))
        foot_x, foot_y = np.float32(self.tube.x), np.float32(self.tube.y)
        return replace(
            self,
            x=foot_x + (self.x - foot_x) * np.float32(scale),
            y=foot_y + (self.y - foot_y) * np.float32(scale),
            pitch=self.pitch * scale,
            origin=(
                self.tube.x + (self.origin[0] - self.tube.x) * scale,
                self.tube.y + (self.origin[1] - self.tube.y) * scale,
            ),
            z=z,
        )

    def seen(self, x: Values, y: Values, z: Values) -> tuple[Values, Values, Values | float]:
        """Return where points ``z`` in front of this plane are seen in it, and how many times larger."""
        if self.tube is None:
            return x, y, 1.0
        larger = self.tube.magnification(self.z + z) / self.tube.magnification(self.z)
        return self.tube.x + (x - self.tube.x) * larger, self.tube.y + (y - self.tube.y) * larger, larger

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.x.shape[0], self.x.shape[1]

    def pixel(self, x: Values, y: Values) -> tuple[Values, Values]:
        """Return column and row, as fractions of pixels, of points in the patient's coordinates."""
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        dx, dy = x - self.origin[0], y - self.origin[1]
        height, width = self.shape
        column = (cos * dx - sin * dy) / self.pitch + width / 2 - 0.5
        row = (sin * dx + cos * dy) / self.pitch + height / 2 - 0.5
        return column, row

    def window(self, centre: tuple[float, float], reach: float) -> tuple[slice, slice]:
        """Return the rows and columns that hold every pixel within ``reach`` cm of ``centre``."""
        column, row = self.pixel(np.asarray(centre[0]), np.asarray(centre[1]))
        pixels = reach / self.pitch + 1
        rows = slice(max(0, int(row - pixels)), max(0, int(row + pixels) + 2))
        return rows, slice(max(0, int(column - pixels)), max(0, int(column + pixels) + 2))


def ellipsoid(
    grid: Grid, centre: tuple[float, float], half: tuple[float, float], depth: float, turn: float = 0.0
) -> Plane:
    """Return the path length through an ellipsoid, ``depth`` at its middle, with half axes ``half`` in the plane."""
    whole = np.zeros(grid.shape, np.float32)
    near = grid.window(centre, max(half))
    dx, dy = grid.x[near] - np.float32(centre[0]), grid.y[near] - np.float32(centre[1])
    if turn:
        cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
        dx, dy = cos * dx + sin * dy, cos * dy - sin * dx
    inside = 1 - np.square(dx / np.float32(half[0])) - np.square(dy / np.float32(half[1]))
    whole[near] = np.float32(depth) * np.sqrt(np.maximum(inside, 0, out=inside), out=inside)
    return whole


def tubes(grid: Grid, path: Values, radius: Values, wall: float | None = None, flat: float = 1.0) -> Plane:
    """Return the path length through bent tubes, overlapping tubes summed.

    Every tube is swept by its section along its centre line; each bit of section × length is shared among the
    four pixels around it, so the total volume is kept whatever the pixel size.

    Args:
        grid: the detector.
        path: centre lines [tubes, points, 3] in cm, z from the grid's plane to the front.
        radius: [tubes, points] in cm, across the beam.
        wall: thickness of a hollow tube's wall in cm; None is solid.
        flat: depth of the section along the beam divided by its height across.
    """
    points, radii = _resampled(grid, path, radius)
    step = np.gradient(points, axis=1)
    along = np.hypot(step[..., 0], step[..., 1]) + 1e-6
    # Where a tube runs straight along the beam its mass would fall on one pixel: there its own roundness bounds it.
    length = np.minimum(np.linalg.norm(step, axis=2), 1.6 * along)
    normal_x, normal_y = -step[..., 1] / along, step[..., 0] / along
    length[:, [0, -1]] /= 2
    across = max(3, int(np.ceil(2.3 * radii.max() / grid.pitch)))
    cuts = np.linspace(-1, 1, across + 1)[:, None, None] * radii
    section = np.diff(_disc(cuts, radii), axis=0)
    if wall is not None:
        section -= np.diff(_disc(cuts, np.maximum(radii - wall, 1e-6)), axis=0)
    mass = section * flat * length / grid.pitch**2
    v = ((np.arange(across) + 0.5) / across * 2 - 1)[:, None, None]
    x, y, larger = grid.seen(
        points[..., 0] + normal_x * radii * v, points[..., 1] + normal_y * radii * v, points[..., 2]
    )
    column, row = grid.pixel(x, y)
    return _splat(grid.shape, column.ravel(), row.ravel(), (mass * larger**2).ravel())


def _disc(x: Values, radius: Values) -> Values:
    """Area of a disc to the left of ``x``, up to a constant."""
    v = np.clip(x / radius, -1, 1)
    area: Values = radius**2 * (v * np.sqrt(1 - v**2) + np.arcsin(v))
    return area


def _resampled(grid: Grid, path: Values, radius: Values) -> tuple[Values, Values]:
    """Centre lines with at most a pixel between their points."""
    longest = np.hypot(*np.moveaxis(np.diff(path[..., :2], axis=1), 2, 0)).sum(axis=1).max()
    count = max(path.shape[1], int(np.ceil(1.2 * longest / grid.pitch)) + 1)
    t = np.linspace(0, path.shape[1] - 1, count)
    i = np.minimum(t.astype(int), path.shape[1] - 2)
    f = t - i
    points = path[:, i] * (1 - f)[None, :, None] + path[:, i + 1] * f[None, :, None]
    return points, radius[:, i] * (1 - f) + radius[:, i + 1] * f


def _splat(shape: tuple[int, int], column: Values, row: Values, mass: Values) -> Plane:
    """Share each ``mass`` bilinearly among its four pixels; what falls outside is lost."""
    height, width = shape
    # rounded first: what lies just inside may round to the line itself
    column, row, mass = (values.astype(np.float32) for values in (column, row, mass))
    inside = (column > -1) & (column < width) & (row > -1) & (row < height)
    column, row, mass = column[inside], row[inside], mass[inside]
    left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
    fx, fy = column - left, row - top
    stride = width + 2
    index = (top + 1) * stride + left + 1
    size = (height + 2) * stride
    total = np.bincount(index, mass * (1 - fx) * (1 - fy), size)
    total += np.bincount(index + 1, mass * fx * (1 - fy), size)
    total += np.bincount(index + stride, mass * (1 - fx) * fy, size)
    total += np.bincount(index + stride + 1, mass * fx * fy, size)
    return total.reshape(height + 2, stride)[1:-1, 1:-1].astype(np.float32)


def smoothstep(values: Plane, low: float, high: float) -> Plane:
    """Return 0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    smooth: Plane = t * t * (3 - 2 * t)
    return smooth
