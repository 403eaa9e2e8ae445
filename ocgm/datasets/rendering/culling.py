"""Removal of invisible pieces, for scenes of many pieces of which an image shows few."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from ocgm.datasets.rendering.scene import Pieces, Scene

_CORNERS = np.array(list(itertools.product((0, 1), repeat=3)))


def cull(scene: Scene, height: int, width: int) -> Scene:
    """Remove the pieces that cast no shadow and lie outside the image.

    Without mirrors the rendered image is the same. Runs on the host.

    Args:
      scene: one scene, of NumPy arrays.
      height, width: size of the image in pixels.
    """
    pieces, camera = scene.pieces, scene.camera
    local = np.where(_CORNERS, pieces.upper[:, None], pieces.lower[:, None])
    world = local @ np.swapaxes(pieces.rotation, 1, 2) + pieces.position[:, None]
    right, down, forward = np.moveaxis((world - camera.position) @ camera.rotation.T, -1, 0)
    # Pixels times depth, which unlike pixels are also valid behind the camera.
    column = camera.focal_length * right + camera.principal_point[0] * forward
    row = camera.focal_length * down + camera.principal_point[1] * forward
    beyond = [forward < 0, column < 0, row < 0, column > width * forward, row > height * forward]
    number = np.arange(len(world))
    keep = (number < pieces.num_casters) | ~np.any([side.all(1) for side in beyond], axis=0)
    keep &= number < pieces.num_pieces
    order = np.argsort(~keep, kind="stable")
    arrays = {field.name: getattr(pieces, field.name) for field in dataclasses.fields(pieces)}
    arrays = {name: array[order] if array.ndim else array for name, array in arrays.items()}
    arrays["num_pieces"] = np.int32(keep.sum())
    return scene.replace(pieces=Pieces(**arrays))
