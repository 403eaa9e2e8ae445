"""Time a training step and its parts: python -m experiments.benchmark_train_step --config=FILE.

Random images stand in for the data, since the time does not depend on them; the input pipeline is timed on the
config's own dataset, where that is on disk or can be generated. Each part is timed alone (forward and backward), so
that shares need not add up to one. Numbers of different machines, or of a busy one, cannot be compared: compare ratios
within one run.
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
from absl import app, flags
from ml_collections import config_flags

from ocgm import cli, models, optimizers, sharding
from ocgm.data.pipeline import train_iterator
from ocgm.data.prefetch import DevicePrefetcher
from ocgm.errors import UserError
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.modules import ic_sbp
from ocgm.train_state import abstract_state, image_to_float, init_state, make_train_step

_CONFIG = config_flags.DEFINE_config_file("config", None, "Experiment, a file of configs/.")
_STEPS = flags.DEFINE_integer("steps", 20, "Steps to time.", 20)


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call, results waited for, after one call that is not counted."""
    jax.block_until_ready(function())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def genesis_v2_parts(
    model: GenesisV2, params: dict, images: jax.Array
) -> dict[str, Callable[[], object]]:
    """Forward and backward of each part of GENESIS-V2 alone."""
    batch, side, k = images.shape[0], model.image_size, model.num_slots
    key = jax.random.key(0)
    embeddings = jax.random.normal(key, (batch, side, side, 8))
    scores = jax.random.uniform(key, (batch, side, side))
    z = jax.random.normal(key, (batch, k, model.feature_dim))

    def backbone(params, images):
        features = model.apply({"params": params}, images, method=lambda m, x: m.encoder(x))
        return jnp.sum(jnp.square(features))

    def stick_breaking(embeddings, sigma):
        process = ic_sbp.stick_breaking(embeddings, scores, sigma, kernel=model.kernel, num_slots=k)
        return jnp.sum(jnp.square(process.log_masks))

    def decoder(params, z):
        active = jnp.ones(z.shape[:2], bool)
        decoded = model.apply({"params": params}, z, active, method="decode")
        return sum(jnp.sum(jnp.square(x)) for x in decoded)

    parts = {
        "backbone": (jax.jit(jax.grad(backbone)), (params, images)),
        "IC-SBP": (jax.jit(jax.grad(stick_breaking, argnums=(0, 1))), (embeddings, 0.2)),
        "decoder": (jax.jit(jax.grad(decoder, argnums=(0, 1))), (params, z)),
    }
    return {name: lambda f=f, a=a: f(*a) for name, (f, a) in parts.items()}


# Parts of each model; a model that is not here is timed as a whole.
_PARTS = {"genesis_v2": genesis_v2_parts}


def optimizer_part(config, params) -> Callable[[], object]:
    """The optimiser's update alone, with gradients as large as the parameters."""
    optimizer = optimizers.build(config)

    @jax.jit
    def update(params, state):
        updates, state = optimizer.update(
            params, state, params, reconstruction_error=jnp.float32(0)
        )
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    return lambda: update(params, state)


def input_seconds(config, mesh, repeats: int) -> float | None:
    """Median time to get a batch onto the devices; None where the data is missing."""
    try:
        host = train_iterator(config.data, config.batch_size, config.seed)
    except UserError as error:
        print(f"input not timed: {str(error).splitlines()[0]}")
        return None
    with contextlib.closing(DevicePrefetcher(host, sharding.batch_sharding(mesh))) as batches:
        return median_seconds(lambda: next(batches), repeats)


def peak_memory_gib() -> tuple[float, str]:
    """Peak memory of the first device, or of the process where devices do not tell."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 2**30, "device"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "process"


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    config, repeats = _CONFIG.value, _STEPS.value
    mesh = sharding.make_mesh(config.mesh)
    abstract = abstract_state(config, mesh)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract)
    side = config.model.image_size
    images = np.random.default_rng(0).integers(0, 256, (config.batch_size, side, side, 3), np.uint8)
    batch = {"image": jax.device_put(images, sharding.batch_sharding(mesh))}

    start = time.perf_counter()
    step = make_train_step(config, mesh).lower(abstract, batch).compile()
    compile_seconds = time.perf_counter() - start

    state = jax.jit(lambda: init_state(config), out_shardings=shardings)()
    params = jax.tree.map(jnp.copy, state.params)  # The step takes the state's buffers.

    def train_step():
        nonlocal state
        state, metrics = step(state, batch)
        return metrics

    step_seconds = median_seconds(train_step, repeats)
    memory, where = peak_memory_gib()
    parts = {}
    if config.model.name in _PARTS:
        floats = image_to_float(batch["image"])
        parts = _PARTS[config.model.name](models.build(config.model), params, floats)
    parts["optimiser"] = optimizer_part(config, params)
    shares = {name: median_seconds(f, repeats) / step_seconds for name, f in parts.items()}
    if (seconds := input_seconds(config, mesh, repeats)) is not None:
        shares["input (overlaps)"] = seconds / step_seconds

    device = jax.devices()[0]
    print(
        f"device: {jax.device_count()} x {device.device_kind} ({device.platform}), jax {jax.__version__}"
    )
    print(
        f"model: {config.model.name}, {side}x{side}, K = {config.model.num_slots},"
        f" batch {config.batch_size}, {config.model.dtype}"
    )
    print(f"compile: {compile_seconds:.1f} s")
    print(f"step: {1e3 * step_seconds:.1f} ms (median of {repeats})")
    print(f"images/s: {config.batch_size / step_seconds:.1f}")
    print(f"peak memory: {memory:.2f} GiB ({where})")
    for name, share in shares.items():
        print(f"share {name}: {share:.1%}")


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    cli.run(main)
