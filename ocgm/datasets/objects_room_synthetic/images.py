"""Images, masks and parts of the background of synthetic Objects Room."""

import colorsys
import math

import numpy as np

from ocgm.datasets import rendering
from ocgm.datasets.objects_room_synthetic.scenes import (
    FIELD_OF_VIEW,
    IMAGE_SIZE,
    MAX_OBJECTS,
    SHAPES,
    Scenes,
)
from ocgm.datasets.rendering import room

# Fitted to the outlines of walls and floor in eight published images.
_WALL_HEIGHT = 1.97

# Fitted to their brightness: walls are lit from the camera, the floor by a spotlight above it.
_AMBIENT = 0.39
_HEADLIGHT = 0.65
_SPOT = 0.8
_SPOT_EXPONENT = 10.0
_SPOT_RADIUS = 0.25
_SKY = (0.6, 226 / 255, 249 / 255)

# Floor, two walls and objects.
_NUM_PIECES = 3 + room.PIECES_PER_OBJECT * MAX_OBJECTS


def render_scenes(scenes: Scenes) -> dict[str, np.ndarray]:
    """Render scenes.

    Returns:
      `image` uint8 [N, 64, 64, 3]; `masks` uint8 [N, 64, 64], 0 for the background and 1 to 6 for
      the objects; `background_parts` uint8 [N, 64, 64], 0 object, 1 sky, 2 floor, 3 and 4 walls.
    """
    batch = rendering.stack_scenes([_make_scene(scenes, i) for i in range(len(scenes))])
    rendered = rendering.render(batch, IMAGE_SIZE, IMAGE_SIZE)
    return {
        "image": np.asarray(rendered.image),
        "masks": np.asarray(rendered.labels),
        "background_parts": number_parts(np.asarray(rendered.parts)),
    }


def number_parts(parts: np.ndarray) -> np.ndarray:
    """Convert rendered parts to the numbers of a record.

    As in the published files, the walls in view are numbered without a gap, in their order around
    the room. One or two are in view.

    Args:
      parts: uint8 [N, H, W], 0 sky, 1 floor, 2 to 5 walls, 6 objects.

    Returns:
      uint8 [N, H, W], 0 objects, 1 sky, 2 floor, 3 and 4 walls.
    """
    numbered = np.zeros_like(parts)
    numbered[parts == 0] = 1
    numbered[parts == room.FLOOR_PART] = 2
    walls = np.arange(room.WALL_PART, room.OBJECT_PART)
    in_view = (parts[..., None] == walls).any((1, 2))
    number = 2 + np.cumsum(in_view, axis=1)
    scene, row, column = np.nonzero((parts >= room.WALL_PART) & (parts < room.OBJECT_PART))
    wall = parts[scene, row, column] - room.WALL_PART
    numbered[scene, row, column] = number[scene, wall]
    return numbered


def _make_scene(scenes: Scenes, i: int) -> rendering.Scene:
    camera, light = scenes.camera[i].astype(np.float64), scenes.light[i]
    spotlight = rendering.Light(
        light,
        rendering.grey(_SPOT),
        radius=_SPOT_RADIUS,
        spot_target=(light[0], light[1], 0.0),
        spot_exponent=_SPOT_EXPONENT,
    )
    return rendering.make_scene(
        bodies=[*_floor_and_walls(scenes, i), *_objects(scenes, i)],
        lights=[room.headlight(-room.forward(camera), _HEADLIGHT), spotlight],
        camera=room.view(camera, FIELD_OF_VIEW, IMAGE_SIZE),
        num_pieces=_NUM_PIECES,
        num_slabs=room.NUM_SLABS,
        ambient=(rendering.grey(_AMBIENT),) * 2,
        sky=(_SKY, _SKY),
    )


def _floor_and_walls(scenes: Scenes, i: int) -> list[rendering.Body]:
    floor = rendering.Material(_rgb(scenes.floor_color[i]), "hexagons", texture_size=(1.2, 1.2))
    # A few blotches on each wall, as large as the published ones.
    wall = rendering.Material(
        _rgb(scenes.wall_color[i]), "blotches", texture_size=(room.SIDE / 2,) * 2
    )
    yaw = scenes.camera[i, 3]
    # The other two walls are behind the camera or beside it.
    ahead = room.WALL_DIRECTIONS @ (np.cos(yaw), np.sin(yaw)) > 0
    return room.floor_and_walls(floor, wall, _WALL_HEIGHT, ahead)


def _objects(scenes: Scenes, i: int) -> list[rendering.Body]:
    return [
        rendering.Body(
            room.solid(SHAPES[scenes.shape[i, k] - 1], scenes.size[i, k].astype(np.float64)),
            rendering.Material(_rgb(scenes.color[i, k]), specular=0.2, shininess=15),
            scenes.position[i, k],
            rendering.yaw(math.degrees(scenes.rotation[i, k])),
            label=k + 1,
            part=room.OBJECT_PART,
        )
        for k in range(scenes.num_objects[i])
    ]


def _rgb(color: np.ndarray) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(*map(float, color))
