"""One mesh with two named axes: `data` splits batches, `fsdp` also splits parameters and optimizer state."""

from typing import Any

import jax
import ml_collections
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ocgm.errors import ConfigError

# Leaves below this size are replicated: gathering them would cost more than it saves.
_MIN_SHARDED_SIZE = 2**12


_ALL_ON_DATA = ml_collections.ConfigDict({"data": -1, "fsdp": 1})


def make_mesh(config: ml_collections.ConfigDict = _ALL_ON_DATA) -> Mesh:
    """Make the mesh of all devices.

    Args:
      config: config.mesh, the number of devices along `data` and `fsdp`; `data` = -1 takes those that `fsdp` leaves. By
        default all are on `data`.

    Raises:
      ConfigError: the axes do not multiply to the number of devices.
    """
    count = jax.device_count()
    fsdp = config.fsdp
    data = count // max(fsdp, 1) if config.data == -1 else config.data
    if fsdp < 1 or data < 1 or data * fsdp != count:
        raise ConfigError(
            f"config.mesh: data={config.data} x fsdp={fsdp} does not fit the {count} device(s) present."
        )
    return jax.make_mesh((data, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Return the sharding of a batch: the first axis over all devices."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of arrays that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def state_shardings(mesh: Mesh, abstract_state: Any) -> Any:
    """Return the shardings of a train state: each large leaf is split over `fsdp` along its longest divisible axis.

    The rule depends on shapes only, so a parameter and its optimizer moments always agree.
    """
    fsdp = mesh.shape["fsdp"]

    def shard(leaf: jax.ShapeDtypeStruct) -> NamedSharding:
        axes = [axis for axis, size in enumerate(leaf.shape) if size % fsdp == 0]
        if fsdp == 1 or np.prod(leaf.shape) < _MIN_SHARDED_SIZE or not axes:
            return replicated(mesh)
        spec: list[str | None] = [None] * len(leaf.shape)
        spec[max(axes, key=lambda axis: leaf.shape[axis])] = "fsdp"
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(shard, abstract_state)
