"""The room that GQN and Objects Room share: walls, cameras and sizes of objects."""

import numpy as np
import pytest

from ocgm.datasets.builders import generated
from ocgm.datasets.rendering import Material, project, room

pytestmark = pytest.mark.compiles


def test_floor_and_walls():
    shown = np.array([True, False, True, False])
    floor, *walls = room.floor_and_walls(Material(), Material(), 2.0, shown)
    assert floor.part == room.FLOOR_PART
    assert [wall.part for wall in walls] == [room.WALL_PART, room.WALL_PART + 2]
    for wall, direction in zip(walls, room.WALL_DIRECTIONS[shown], strict=True):
        np.testing.assert_allclose(wall.position, [*(3.5 * direction), 1.0], atol=1e-9)
        # Fronts face the middle of the room.
        np.testing.assert_allclose(wall.rotation @ (0, 1, 0), [*direction, 0], atol=1e-9)


def test_cameras_face_the_axis_of_the_room():
    heading, pitch = np.array([0.0, 0.5, 3.0]), np.array([0.1, 0.0, -0.2])
    cameras = room.ring_cameras(heading, pitch, radius=4.0, height=0.7)
    np.testing.assert_allclose(np.hypot(cameras[:, 0], cameras[:, 1]), 4.0)
    np.testing.assert_array_equal(cameras[:, 2:], np.stack([[0.7] * 3, heading, pitch], axis=1))
    for camera in cameras:
        target = [0, 0, 0.7 + 4.0 * np.tan(camera[4])]
        seen = project(room.view(camera, 45.0, 64), np.array(target))
        np.testing.assert_allclose(seen[:2], [32, 32], atol=1e-3)


def test_sizes():
    shape = np.tile(np.arange(len(room.SHAPES)), (100, 1))
    smallest = np.full((len(room.SHAPES), 3), 0.5)
    size = room.draw_sizes(generated.block_generator(0, 0), shape, smallest, 2 * smallest)
    assert (0.5 <= size).all() and (size < 1).all()
    for i, name in enumerate(room.SHAPES):
        width, depth, height = size[:, i].T
        assert np.array_equal(width, depth) == (name not in ("box", "triangle"))
        assert np.array_equal(width, height) == (name in ("sphere", "icosahedron"))


@pytest.mark.parametrize("name", room.SHAPES)
def test_solids(name):
    """They fit into the capacity for pieces, and all but the triangle's bars into their sizes."""
    size = np.array([0.6, 0.6, 0.6 if name in ("sphere", "icosahedron") else 1.0])
    pieces = room.solid(name, size)
    assert len(pieces) <= room.PIECES_PER_OBJECT
    for piece in pieces:
        assert len(piece.slab_normals) <= room.NUM_SLABS
        if name != "triangle":
            upper, lower = piece.upper + piece.position, piece.lower + piece.position
            assert (np.abs([upper, lower]) <= 1.01 * size / 2 + 1e-9).all()
