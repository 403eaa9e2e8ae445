"""Episodes of synthetic Sketchy: random choices, and scenes of four steps.

Published: two tasks, lifting the green object and stacking it on the red one; three objects, red,
green and blue, in a basket with sloping sides; two cameras and their crops. Measured in four frames
(see `workplace` and `robot`): the red object is a cube of 7.3 cm, the green one a block of 4 to 6 cm
and the blue one a ball of 8 cm. Our choice: everything else, such as the four steps of an episode and
the distributions of `draw_episode`.
"""

import dataclasses

import numpy as np

from ocgm.datasets.builders.generated import uniform_integers
from ocgm.datasets.rendering import (
    Body,
    Camera,
    Material,
    Scene,
    cull,
    make_scene,
    shapes,
    stack_scenes,
    yaw,
)
from ocgm.datasets.sketchy.sketchy_dataset_builder import CROPS
from ocgm.datasets.sketchy_synthetic import robot, workplace

TASKS = ("lift_green", "stack_green_on_red")
COLORS = ("red", "green", "blue")
SHAPES = ("block", "ball", "cylinder")
NUM_OBJECTS = len(COLORS)
NUM_STEPS = 4
NUM_CAMERAS, NUM_CROPS = len(workplace.CAMERAS), len(CROPS)
RED, GREEN, BLUE = range(NUM_OBJECTS)

_NUM_PIECES = 96
_SMALLEST = np.array([[0.060, 0.060, 0.060], [0.040, 0.050, 0.035], [0.065, 0.065, 0.065]])
_LARGEST = np.array([[0.080, 0.080, 0.080], [0.055, 0.065, 0.050], [0.085, 0.085, 0.085]])
# Largest distance of objects from the middle of the basket, along x and y.
_REACH = 0.18
# Least gap between the circles around two objects, for the fingers.
_GAP = 0.03
_MATERIALS = (
    Material((0.94, 0.42, 0.36)),
    Material((0.10, 0.62, 0.14), specular=0.06, shininess=20),
    Material((0.11, 0.33, 0.62), specular=0.10, shininess=15),
)


@dataclasses.dataclass(frozen=True)
class Episode:
    """Random choices of an episode, four steps of one task.

    Attributes:
      task: index in `TASKS`.
      shape: int32 [3], index in `SHAPES`, of the red, the green and the blue object.
      size: float32 [3, 3], edges or diameters along the object's own axes, in metres.
      position: float32 [4, 3, 3], centres at each step.
      yaw: float32 [3], degrees about z, the same at all steps.
      gripper: float32 [4, 3], point between the fingers.
      gripper_yaw: float32 [4], degrees from x to the line through the fingers.
      gripper_opening: float32 [4], distance between the fingers.
    """

    task: int
    shape: np.ndarray
    size: np.ndarray
    position: np.ndarray
    yaw: np.ndarray
    gripper: np.ndarray
    gripper_yaw: np.ndarray
    gripper_opening: np.ndarray


def draw_episode(rng: np.random.Generator) -> Episode:
    """Draw an episode.

    Both tasks are equally likely. Red and green are blocks, blue is a block, a ball or a cylinder;
    sizes are uniform between `_SMALLEST` and `_LARGEST`, equal along all axes of balls and across
    cylinders. Yaws are uniform, places uniform over those in the basket that are far enough apart. At
    the four steps the gripper is anywhere over the basket; open above the green object; closed around
    it; and holding it in the air, or releasing it on the red object.
    """
    task = int(uniform_integers(rng, len(TASKS), ()))
    shape = np.array([0, 0, uniform_integers(rng, len(SHAPES), ())], np.int32)
    size = _SMALLEST + (_LARGEST - _SMALLEST) * rng.random((NUM_OBJECTS, 3))
    size[shape > 0, 1] = size[shape > 0, 0]
    size[shape == SHAPES.index("ball")] = size[shape == SHAPES.index("ball"), :1]
    turn = 360 * rng.random(NUM_OBJECTS)
    place = _places(rng, np.hypot(size[:, 0], size[:, 1]) / 2)
    resting = np.concatenate([place, size[:, 2:] / 2 - workplace.DEPTH], axis=1)
    position = np.tile(resting, (NUM_STEPS, 1, 1))

    green = position[:, GREEN]
    above, held = green[1] + (0, 0, 0.08 + 0.10 * rng.random()), green[2]
    if TASKS[task] == "lift_green":
        shift = np.append(0.05 * (2 * rng.random(2) - 1), 0.10 + 0.12 * rng.random())
        green[3] += shift
    else:
        green[3] = resting[RED] + (0, 0, size[RED, 2] / 2 + size[GREEN, 2] / 2)
    start = np.append(0.2 * (2 * rng.random(2) - 1), 0.08 + 0.17 * rng.random())
    # Half a turn only exchanges the fingers.
    grasp_yaw = turn[GREEN] % 180
    width = size[GREEN, 0]
    released = robot.WIDEST if TASKS[task] == "stack_green_on_red" else width
    return Episode(
        task=task,
        shape=shape,
        size=size.astype(np.float32),
        position=position.astype(np.float32),
        yaw=turn.astype(np.float32),
        gripper=np.stack([start, above, held, green[3]]).astype(np.float32),
        gripper_yaw=np.array([180 * rng.random(), *[grasp_yaw] * 3], np.float32),
        gripper_opening=np.array(
            [robot.WIDEST * rng.random(), robot.WIDEST, width, released], np.float32
        ),
    )


def _places(rng: np.random.Generator, radius: np.ndarray) -> np.ndarray:
    """Draw points [3, 2] around which circles of `radius` [3] are at least `_GAP` apart."""
    first, second = np.triu_indices(NUM_OBJECTS, 1)
    least = radius[first] + radius[second] + _GAP
    while True:
        place = _REACH * (2 * rng.random((NUM_OBJECTS, 2)) - 1)
        distance = np.linalg.norm(place[first] - place[second], axis=1)
        if (distance > least).all():
            return place


def views(episode: Episode, side: int) -> Scene:
    """Create all views of an episode, for images of side x side pixels.

    Returns:
      Scenes [4 * 2 * 7], ordered by step, camera and crop.
    """
    cameras = [
        workplace.camera(camera, crop, side)
        for camera in range(NUM_CAMERAS)
        for crop in range(NUM_CROPS)
    ]
    scenes = [scene(episode, step, cameras[0]) for step in range(NUM_STEPS)]
    return stack_scenes(
        [cull(scene.replace(camera=camera), side, side) for scene in scenes for camera in cameras]
    )


def scene(episode: Episode, step: int, camera: Camera) -> Scene:
    """Create the scene of one step of an episode, seen by a camera."""
    robot_bodies = robot.bodies(
        episode.gripper[step].astype(np.float64),
        float(episode.gripper_yaw[step]),
        float(episode.gripper_opening[step]),
    )
    return make_scene(
        [*_objects(episode, step), *robot_bodies, *workplace.bodies()],
        workplace.LIGHTS,
        camera,
        num_pieces=_NUM_PIECES,
        ambient=workplace.AMBIENT,
    )


def _objects(episode: Episode, step: int) -> list[Body]:
    return [
        Body(
            _shape(SHAPES[episode.shape[i]], episode.size[i].tolist()),
            _MATERIALS[i],
            episode.position[step, i],
            yaw(float(episode.yaw[i])),
            label=i + 1,
        )
        for i in range(NUM_OBJECTS)
    ]


def _shape(name: str, size: list[float]) -> shapes.Shape:
    if name == "block":
        return shapes.box(size)
    if name == "ball":
        return shapes.sphere(size[0] / 2)
    return shapes.cylinder(size[0] / 2, size[2])
