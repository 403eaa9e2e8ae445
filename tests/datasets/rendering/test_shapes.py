"""Every shape's outline against points that another formula finds inside it."""

import itertools

import drawing
import numpy as np
import pytest

from ocgm.datasets.rendering import Body, Material, axis_rotation, shapes, yaw

pytestmark = pytest.mark.compiles


def _in_capsule(x, y, z):
    return np.hypot(np.hypot(x, y), np.maximum(abs(z) - 0.4, 0)) <= 0.3


def _in_dome(x, y, z):
    return (np.hypot(np.hypot(x, y), np.maximum(z - 0.1, 0)) <= 0.4) & (z >= -0.5)


def _in_triangle(x, y, z):
    """Bars around an inner triangle; the largest distance from a side's line makes the mitres."""
    slope = np.hypot(1.0, 0.5)
    outer = [-z - 0.5, (x + 0.5 * (z - 0.5)) / slope, (-x + 0.5 * (z - 0.5)) / slope]
    return np.hypot(np.max(outer, axis=0) + 0.1, y) <= 0.1


def _in_icosahedron(x, y, z):
    """Faces from the corners: all triples of neighbours."""
    golden = (1 + 5**0.5) / 2
    corners = [[0, a, b] for a in (-golden, golden) for b in (-1, 1)]
    corners = np.array([np.roll(corner, i) for corner in corners for i in range(3)])
    corners *= 0.6 / np.linalg.norm(corners[0])
    edge = np.sort(np.linalg.norm(corners - corners[0], axis=1))[1]
    inside = np.ones(x.shape, bool)
    num_faces = 0
    for triple in itertools.combinations(corners, 3):
        if all(np.linalg.norm(a - b) < 1.01 * edge for a, b in itertools.combinations(triple, 2)):
            center = np.mean(triple, axis=0)
            inside &= x * center[0] + y * center[1] + z * center[2] <= center @ center
            num_faces += 1
    assert num_faces == 20
    return inside


SHAPES = {
    "sphere": (shapes.sphere(0.6), lambda x, y, z: x * x + y * y + z * z <= 0.36),
    "ellipsoid": (
        shapes.ellipsoid((0.8, 0.3, 0.5)),
        lambda x, y, z: (x / 0.8) ** 2 + (y / 0.3) ** 2 + (z / 0.5) ** 2 <= 1,
    ),
    "box": (
        shapes.box((1.2, 0.6, 0.9)),
        lambda x, y, z: (abs(x) <= 0.6) & (abs(y) <= 0.3) & (abs(z) <= 0.45),
    ),
    "cylinder": (
        shapes.cylinder(0.4, 1.0),
        lambda x, y, z: (x * x + y * y <= 0.16) & (abs(z) <= 0.5),
    ),
    "capsule": (shapes.capsule(0.3, 1.4), _in_capsule),
    "dome": (shapes.dome(0.4, 1.0), _in_dome),
    "cone": (
        shapes.cone(0.5, 1.2),
        lambda x, y, z: (np.hypot(x, y) <= 0.5 * (0.6 - z) / 1.2) & (z >= -0.6),
    ),
    "pyramid": (
        shapes.pyramid((1.2, 0.8), 1.0),
        lambda x, y, z: (abs(x) <= 0.6 * (0.5 - z)) & (abs(y) <= 0.4 * (0.5 - z)) & (abs(z) <= 0.5),
    ),
    "prism": (
        shapes.prism((1.2, 0.5, 1.0)),
        lambda x, y, z: (abs(x) <= 0.6 * (0.5 - z)) & (abs(y) <= 0.25) & (abs(z) <= 0.5),
    ),
    "triangle": (shapes.triangle(1.0, 1.0, 0.2), _in_triangle),
    "icosahedron": (shapes.icosahedron(0.6), _in_icosahedron),
    "ground": (shapes.ground(), lambda x, y, z: z <= 0),
    "wall": (
        shapes.wall((1.4, 0.8), 0.2),
        lambda x, y, z: (abs(x) <= 0.7) & (abs(z) <= 0.4) & (y >= 0) & (y <= 0.2),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_outline(name):
    """From two sides; a ray is on an object if some of many points along it are inside."""
    shape, is_inside = SHAPES[name]
    views = [
        drawing.camera((0.4, -2.1, 1.0), (0.0, 0.1, 0.05)),
        drawing.camera((-1.3, -1.2, -1.1), (0.1, 0, 0)),
    ]
    if name == "ground":
        views = [
            drawing.camera((0.4, -2.1, 1.0), (0, 0.1, 1)),
            drawing.camera((-1, -1, 1), (0, 0, 1)),
        ]
    position = np.array([0.03, 0.05, -0.02])
    rotation = yaw(25) @ axis_rotation(0, 10)
    body = Body(shape, Material(), position, rotation, label=3, part=5)
    _, labels, parts = drawing.draw(*(drawing.scene([body], view) for view in views))
    for view, label, part in zip(views, labels, parts, strict=True):
        # The ground is seen as far as the horizon.
        farthest = 1e3 if name == "ground" else 4.0
        depths = np.geomspace(0.5, farthest, 700)[:, None, None, None]
        points = (view.position + depths * drawing.center_rays(view) - position) @ rotation
        expected = is_inside(*np.moveaxis(points, -1, 0)).any(axis=0)
        assert 60 < expected.sum() < expected.size
        # Points miss the briefest visits; they never find what is not there.
        assert (label[expected] == 3).all()
        assert (label == 3).sum() - expected.sum() <= 0.03 * expected.sum() + 1
        assert set(np.unique(label)) <= {0, 3}
        np.testing.assert_array_equal(part, 5 * (label == 3))
