"""Time a training step and its parts: python -m experiments.benchmark_train_step --config=NAME.

The images are random, since the time does not depend on them; the input pipeline is timed on the config's own dataset
if it is on disk or can be generated. The step is the first one, before config.curriculum changes any option. Each part
is timed alone (forward and backward) and once, even where a step repeats it, so shares need not add up to one. Compare
only figures of one idle machine.
"""

import contextlib
import resource
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from ml_collections import ConfigDict

from experiments.model_parts import parts_of
from ocgm import models, sharding
from ocgm.commands import cli, config_flag
from ocgm.data.pipeline import train_iterator
from ocgm.data.prefetch import DevicePrefetcher
from ocgm.errors import UserError, first_line
from ocgm.images import to_float
from ocgm.training import optimizers
from ocgm.training.step import (
    abstract_state,
    curriculum_options,
    init_state,
    make_train_step,
)

_CONFIG = config_flag.Config()
_STEPS = flags.DEFINE_integer("steps", 20, "Steps to time.", 20)


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the median wall time of a call with its results, after one warm-up call."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class TrainStep:
    """A compiled training step with its state and one batch of random images.

    Attributes:
      compile_seconds: time to compile.
      variables: initial variables of the model.
      images: uint8 [B, S, S, 3].
    """

    def __init__(self, config: ConfigDict, mesh: jax.sharding.Mesh):
        shape = (config.batch_size, config.model.image_size, config.model.image_size, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self.images = jax.device_put(images, sharding.batch_sharding(mesh))
        abstract = abstract_state(config, mesh)
        options = curriculum_options(config, 0)
        start = time.perf_counter()
        batch = {"image": self.images}
        self._step = make_train_step(config, mesh).lower(abstract, batch, options).compile()
        self.compile_seconds = time.perf_counter() - start
        shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
        self._state = jax.jit(lambda: init_state(config), out_shardings=shardings)()
        # Copies, since the step donates the buffers of the state.
        self.variables = jax.tree.map(jnp.copy, self._state.variables)

    def __call__(self) -> dict[str, jax.Array]:
        """Run one step and return its metrics."""
        self._state, metrics = self._step(self._state, {"image": self.images})
        return metrics


def optimizer_part(config: ConfigDict, params: optax.Params) -> Callable[[], object]:
    """Return the update of the optimizer alone, with gradients equal to the parameters."""
    optimizer = optimizers.build(config)

    @jax.jit
    def update(params, state):
        updates, state = optimizer.update(
            params, state, params, reconstruction_error=jnp.float32(0)
        )
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    return lambda: update(params, state)


def input_seconds(config: ConfigDict, mesh: jax.sharding.Mesh, repeats: int) -> float | None:
    """Return the median time to get a batch onto the devices; None if the dataset is missing."""
    try:
        host = train_iterator(config.data, config.batch_size, config.seed)
    except UserError as error:
        print(f"input not timed: {first_line(error)}")
        return None
    with contextlib.closing(DevicePrefetcher(host, sharding.batch_sharding(mesh))) as batches:
        return median_seconds(lambda: next(batches), repeats)


def peak_memory_gib() -> tuple[float, str]:
    """Return the peak memory of the first device or, where devices do not report it, of the process."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 2**30, "device"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "process"


def shares_of_step(
    config: ConfigDict, mesh: jax.sharding.Mesh, step: TrainStep, step_seconds: float, repeats: int
) -> dict[str, float]:
    """Return the time of each part, of the optimizer and of the input, relative to a step."""
    parts = parts_of(models.build(config.model), step.variables, to_float(step.images))
    parts["optimizer"] = optimizer_part(config, step.variables["params"])
    seconds = {name: median_seconds(part, repeats) for name, part in parts.items()}
    if (waiting := input_seconds(config, mesh, repeats)) is not None:
        seconds["input (overlaps)"] = waiting
    return {name: value / step_seconds for name, value in seconds.items()}


def main(argv: list[str]) -> None:
    cli.no_arguments(argv)
    config, repeats = _CONFIG.value, _STEPS.value
    mesh = sharding.make_mesh(config.mesh)
    step = TrainStep(config, mesh)
    step_seconds = median_seconds(step, repeats)
    memory, where = peak_memory_gib()
    shares = shares_of_step(config, mesh, step, step_seconds, repeats)

    device, side = jax.devices()[0], config.model.image_size
    print(
        f"device: {jax.device_count()} x {device.device_kind} ({device.platform}), jax {jax.__version__}"
    )
    print(
        f"model: {config.model.name}, {side}x{side}, K = {config.model.get('num_slots', 1)},"
        f" batch {config.batch_size}, {config.model.dtype}"
    )
    print(f"compile: {step.compile_seconds:.1f} s")
    print(f"step: {1e3 * step_seconds:.1f} ms (median of {repeats})")
    print(f"images/s: {config.batch_size / step_seconds:.1f}")
    print(f"peak memory: {memory:.2f} GiB ({where})")
    for name, share in shares.items():
        print(f"share {name}: {share:.1%}")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    cli.run(main)
