"""Train on several meshes over the devices of one process.

    python train_on_meshes.py CONFIG.json OUTPUT.npz STEPS MESH [MESH ...]

A program of its own, since the number of devices cannot change within a process. Started by test_meshes.py.
"""

import pathlib
import sys

import flax.traverse_util
import jax
import numpy as np
from jax.sharding import AxisType

from ocgm import run_dir, sharding
from ocgm.data.pipeline import train_iterator
from ocgm.training.step import abstract_state, init_state, make_train_step

# Devices along (data, fsdp).
MESHES = {"1": (1, 1), "8": (8, 1), "4x2": (4, 2)}


def main(config_file: str, output: str, num_steps: str, *meshes: str) -> None:
    config = run_dir.from_json(pathlib.Path(config_file).read_text())
    arrays = {}
    for name in meshes:
        shape = MESHES[name]
        mesh = jax.make_mesh(
            shape,
            ("data", "fsdp"),
            axis_types=(AxisType.Auto,) * 2,
            devices=jax.devices()[: np.prod(shape)],
        )
        abstract = abstract_state(config, mesh)
        shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
        state = jax.jit(lambda: init_state(config), out_shardings=shardings)()
        train_step = make_train_step(config, mesh)
        batches = train_iterator(config.data, config.batch_size, config.seed)
        losses = []
        for _ in range(int(num_steps)):
            batch = jax.device_put(next(batches), sharding.batch_sharding(mesh))
            state, metrics = train_step(state, batch, ())
            losses.append(metrics["loss"])
        arrays[f"{name}/losses"] = np.array(losses)
        # Bytes of parameters and optimiser state that one device holds.
        arrays[f"{name}/bytes"] = sum(
            leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(state)
        )
        for kind in ("params", "model_state"):
            leaves = flax.traverse_util.flatten_dict(jax.device_get(getattr(state, kind)), sep="/")
            arrays |= {f"{name}/{kind}/{path}": leaf for path, leaf in leaves.items()}
    np.savez(output, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
