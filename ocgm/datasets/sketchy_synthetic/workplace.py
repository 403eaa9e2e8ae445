"""Fixed parts of synthetic Sketchy's scenes: table, basket, rails, walls, lamps and cameras.

Lengths are in metres. The origin is the centre of the basket's rim, x points away from the robot,
y to its left and z up, with the table's top at z = 0. Numbers marked "fitted" are from published
frames of one episode, two of each camera: cameras without distortion project 20 points on the basket
and the gripper, whose pose is published, to within 6 pixels of 960 x 600. Colours were read off the
same frames; lamps are our choice.
"""

import math

import numpy as np

from ocgm.datasets.rendering import Body, Camera, Light, Material, axis_rotation, crop, shapes, yaw
from ocgm.datasets.sketchy.sketchy_dataset_builder import CROPS

# Fitted: edges of the basket's square rim and floor, and depth of the floor.
RIM, FLOOR, DEPTH = 0.68, 0.51, 0.07
# Fitted: distance of the rails from the middle, and their height.
_RAIL, _RAIL_HEIGHT = 0.56, 0.055

CAMERAS = ("front_left", "front_right")
# Pixels of a published frame, and the first row and column that the GENESIS-V2 authors keep.
_FRAME_HEIGHT, _FRAME_WIDTH = 600, 960
_TOPS, _LEFT = (71, 91), 144
# Fitted, for uncropped frames.
_FOCAL_LENGTH = 683.0
_POSITIONS = ((0.545, -0.546, 0.293), (0.550, 0.552, 0.289))
_ROTATIONS = (
    ((0.7026, 0.7115, -0.0113), (0.2907, -0.3015, -0.9081), (-0.6495, 0.6347, -0.4186)),
    ((-0.7068, 0.7072, 0.0189), (0.2646, 0.2890, -0.9200), (-0.6561, -0.6453, -0.3914)),
)
_TABLE = Material((0.76, 0.83, 0.63), "plaster", (0.6, 0.6), specular=0.03, shininess=8)
_BASKET = Material((0.70, 0.765, 0.59), "plaster", (0.4, 0.4), specular=0.03, shininess=8)
_EDGE = Material((0.30, 0.34, 0.27))
_SLOT = Material((0.22, 0.24, 0.19))
_RAIL_METAL = Material((0.62, 0.67, 0.53), "brushed_metal", (0.4, 0.4), specular=0.1)
_GROOVE = Material((0.33, 0.36, 0.29))
_BRACKET = Material((0.16, 0.17, 0.14))
_CURTAIN = Material((1.23, 1.32, 1.05), "fabric", (0.9, 2.4))
_WALL = Material((0.91, 0.98, 0.79))
_ROOM_FLOOR = Material((0.42, 0.45, 0.37))

LIGHTS = (
    Light((0.4, -0.5, 2.0), color=(0.36, 0.36, 0.36), radius=0.5),
    Light((0.8, -0.9, 0.9), color=(0.22, 0.22, 0.22), casts_shadow=False),
)
AMBIENT = ((0.42, 0.42, 0.42), (0.52, 0.52, 0.52))


def camera(number: int, crop_number: int, side: int) -> Camera:
    """Create camera `CAMERAS[number]`, cropped to one of `CROPS`, at side x side pixels."""
    whole = Camera(
        position=np.array(_POSITIONS[number], np.float32),
        rotation=np.array(_ROTATIONS[number], np.float32),
        focal_length=np.float32(_FOCAL_LENGTH),
        principal_point=np.array([_FRAME_WIDTH / 2, _FRAME_HEIGHT / 2], np.float32),
    )
    left, upper, size = CROPS[crop_number]
    return crop(whole, _TOPS[number] + upper, _LEFT + left, side / size)


def bodies() -> list[Body]:
    """Create table, basket, rails and walls."""
    return [*_table(), *_basket(), *_rails(), *_room()]


def _block(size, material: Material, position, turn: float = 0.0) -> Body:
    return Body(shapes.box(size), material, position, yaw(turn), casts_shadow=False)


def _table() -> list[Body]:
    """Create four boards around the basket's rim, with slots."""
    board = (1.2 - RIM) / 2
    middle = (RIM + board) / 2
    found = []
    for side in range(4):
        turn = yaw(90 * side)
        # Two boards are longer, to cover the corners once.
        length = 1.2 if side % 2 else RIM
        found.append(_block((board, length, 0.04), _TABLE, turn @ (middle, 0, -0.02), 90 * side))
        slot = turn @ (RIM / 2 + 0.09, 0, 0)
        along = turn @ (0, 0.14, 0)
        found += [
            _block((0.003, 0.09, 0.001), _SLOT, slot + sign * along, 90 * side) for sign in (-1, 1)
        ]
    return found


def _basket() -> list[Body]:
    """Create the floor and four sloping sides, each with a line along its rim."""
    found = [_block((RIM, RIM, 0.1), _BASKET, (0, 0, -DEPTH - 0.05))]
    run = (RIM - FLOOR) / 2
    slope = math.degrees(math.atan2(DEPTH, run))
    # Longer than the side, so that the lower end is below the floor.
    length, thickness = 1.3 * math.hypot(run, DEPTH), 0.2
    for side in range(4):
        turn = yaw(90 * side) @ axis_rotation(1, -slope)
        rim = yaw(90 * side) @ (RIM / 2, 0, 0)
        centre = rim + turn @ (-length / 2, 0, -thickness / 2)
        found.append(
            Body(shapes.box((length, RIM, thickness)), _BASKET, centre, turn, casts_shadow=False)
        )
        found.append(_block((0.004, RIM, 0.001), _EDGE, rim, 90 * side))
    return found


def _rails() -> list[Body]:
    """Create aluminium profiles with a groove on the three visible sides, held by brackets."""
    found = []
    for degrees in (90, 180, 270):
        turn = yaw(degrees)
        found.append(
            _block(
                (0.04, 1.2, _RAIL_HEIGHT),
                _RAIL_METAL,
                turn @ (_RAIL + 0.02, 0, _RAIL_HEIGHT / 2),
                degrees,
            )
        )
        found.append(_block((0.002, 1.2, 0.012), _GROOVE, turn @ (_RAIL, 0, 0.02), degrees))
        found += [
            _block((0.012, 0.018, 0.05), _BRACKET, turn @ (_RAIL, 0.24 * place, 0.02), degrees)
            for place in (-1, 0.3, 1.6)
        ]
    return found


def _room() -> list[Body]:
    """Create curtains to the left and right of the robot, the wall behind it and the floor."""
    size = (4.0, 2.4)
    curtains = [
        Body(shapes.wall(size), _CURTAIN, (0, 0.78 * sign, 0.8), yaw(turn), casts_shadow=False)
        for sign, turn in ((1, 0), (-1, 180))
    ]
    wall = Body(shapes.wall(size), _WALL, (-1.7, 0, 0.8), yaw(90), casts_shadow=False)
    floor = Body(shapes.ground(), _ROOM_FLOOR, (0, 0, -0.4), casts_shadow=False)
    return [*curtains, wall, floor]
