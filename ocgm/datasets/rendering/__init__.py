"""Ray-traced scenes of simple solids, for synthetic versions of rendered datasets."""

from ocgm.datasets.rendering.bodies import Body, Light, Material, axis_rotation, grey, yaw
from ocgm.datasets.rendering.camera import Camera, crop, focal_length, look_at, project
from ocgm.datasets.rendering.culling import cull
from ocgm.datasets.rendering.render import Rendered, render, render_labels
from ocgm.datasets.rendering.scene import Scene, make_scene, stack_scenes

__all__ = [
    "Body",
    "Camera",
    "Light",
    "Material",
    "Rendered",
    "Scene",
    "axis_rotation",
    "crop",
    "cull",
    "focal_length",
    "grey",
    "look_at",
    "make_scene",
    "project",
    "render",
    "render_labels",
    "stack_scenes",
    "yaw",
]
