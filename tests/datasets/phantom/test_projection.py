import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.datasets.phantom.projection import Grid, Tube, _splat, ellipsoid, tubes


@pytest.fixture(params=[64, 200])
def grid(request) -> Grid:
    return Grid.of(request.param, request.param, field=40.0, centre=(0.5, 10.0), tilt=0.05)


def volume(path_length: np.ndarray, grid: Grid) -> float:
    return float(path_length.sum()) * grid.pitch**2


def test_an_ellipsoid_keeps_its_volume_at_every_pixel_size(grid):
    drawn = ellipsoid(grid, (2.0, 12.0), (5.0, 8.0), depth=6.0, turn=0.4)
    assert volume(drawn, grid) == pytest.approx(4 / 3 * np.pi * 5 * 8 * 3, rel=0.01)
    assert drawn.max() == pytest.approx(6.0, rel=0.01)


def test_an_ellipsoid_outside_the_image_leaves_no_trace(grid):
    assert not ellipsoid(grid, (300.0, 12.0), (5.0, 8.0), depth=6.0).any()


def test_a_tube_keeps_its_volume_at_every_pixel_size(grid):
    path = np.linspace((-5.0, 4.0, 0.0), (5.0, 14.0, 3.0), 9)[None]
    drawn = tubes(grid, path, np.full((1, 9), 0.8))
    length = np.sqrt(10**2 + 10**2 + 3**2)
    assert volume(drawn, grid) == pytest.approx(np.pi * 0.8**2 * length, rel=0.01)


def test_a_hollow_tube_is_its_wall_alone(grid):
    path = np.linspace((-6.0, 6.0, 0.0), (6.0, 6.0, 0.0), 9)[None]
    drawn = tubes(grid, path, np.full((1, 9), 2.0), wall=0.5)
    assert volume(drawn, grid) == pytest.approx(np.pi * (2.0**2 - 1.5**2) * 12, rel=0.01)


def test_a_fine_grid_shows_a_hollow_tube_brighter_at_its_borders():
    grid = Grid.of(200, 200, field=20.0, centre=(0.0, 0.0), tilt=0.0)
    path = np.linspace((-6.0, 0.0, 0.0), (6.0, 0.0, 0.0), 9)[None]
    profile = tubes(grid, path, np.full((1, 9), 2.0), wall=0.3)[:, 100]
    middle = profile[97:103].mean()
    assert middle == pytest.approx(0.6, rel=0.1)
    assert profile[80:90].max() > 2 * middle


def test_pixels_and_coordinates_are_inverse(grid):
    column, row = grid.pixel(grid.x, grid.y)
    rows, columns = np.indices(grid.shape)
    assert np.allclose(column, columns, atol=1e-3)
    assert np.allclose(row, rows, atol=1e-3)


def test_a_window_holds_every_pixel_within_reach(grid):
    centre, reach = (3.0, 9.0), 4.0
    near = np.hypot(grid.x - centre[0], grid.y - centre[1]) <= reach
    inside = np.zeros(grid.shape, bool)
    inside[grid.window(centre, reach)] = True
    assert near.any()
    assert not (near & ~inside).any()


def test_a_point_that_rounds_onto_the_last_line_is_left_out():
    """In double precision it lies just inside the image, in single precision outside: a study of phantoms met one."""
    edge = np.nextafter(128.0, 0.0)
    drawn = _splat((128, 115), np.array([50.0, 60.0]), np.array([edge, 20.0]), np.ones(2))
    assert drawn.sum() == pytest.approx(1.0)


#: Before a chest whose pixels ``bedside`` are; far from the middle, so that a mistake of the foot shows.
TUBE = Tube(1.5, 14.0, 88.0)


@pytest.fixture
def bedside() -> Grid:
    return Grid.of(240, 220, field=36.0, centre=(0.5, 12.0), tilt=0.03, tube=TUBE)


@given(z=st.floats(-12, 12), nearer=st.floats(0.1, 5))
def test_what_is_nearer_to_the_tube_is_seen_larger(z, nearer):
    assert TUBE.magnification(z + nearer) > TUBE.magnification(z)
    assert TUBE.magnification(0.0) == 1.0


def test_an_upright_image_shows_the_reference_anatomy_as_it_is(grid):
    assert grid.at(5.0) is grid


@pytest.mark.parametrize("z", [-7.0, 4.0, 9.0])
def test_a_plane_has_the_same_pixels_and_comes_back(bedside, z):
    plane = bedside.at(z)
    rows, columns = np.indices(plane.shape)
    column, row = plane.pixel(plane.x, plane.y)
    assert np.allclose(column, columns, atol=1e-2)
    assert np.allclose(row, rows, atol=1e-2)
    back = plane.at(0.0)
    assert np.allclose(back.x, bedside.x, atol=1e-4)
    assert back.pitch == pytest.approx(bedside.pitch)


@pytest.mark.parametrize("z", [-7.0, 4.0, 9.0])
def test_an_organ_is_magnified_about_the_foot_of_the_beam_and_no_thicker(bedside, z):
    drawn = ellipsoid(bedside.at(z), (5.0, 20.0), (3.0, 4.0), depth=6.0)
    larger = TUBE.magnification(z)
    assert volume(drawn, bedside) == pytest.approx(4 / 3 * np.pi * 3 * 4 * 3 * larger**2, rel=0.01)
    assert drawn.max() == pytest.approx(6.0, rel=0.01)
    middle = (bedside.x * drawn).sum() / drawn.sum(), (bedside.y * drawn).sum() / drawn.sum()
    assert middle == pytest.approx((1.5 + 3.5 * larger, 14 + 6 * larger), abs=0.02)


@pytest.mark.parametrize("z", [-7.0, 4.0])
def test_a_tube_in_front_of_a_plane_is_drawn_as_in_the_plane_further_in_front(bedside, z):
    """The ribs run from back to front: each point of them is magnified by itself."""
    flat = np.linspace((-6.0, 4.0, 0.0), (7.0, 20.0, 0.0), 9)[None]
    before = np.linspace((-6.0, 4.0, z), (7.0, 20.0, z), 9)[None]
    radius = np.full((1, 9), 0.7)
    one, other = tubes(bedside.at(z), flat, radius), tubes(bedside, before, radius)
    assert one.max() == pytest.approx(1.4, rel=0.15)
    assert np.abs(one - other).mean() < 0.1 * one.mean()  # the sampling of the section
    assert volume(one, bedside) == pytest.approx(volume(other, bedside), rel=0.01)
