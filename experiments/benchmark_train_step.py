"""Time a training step and its parts: python -m experiments.benchmark_train_step --config=FILE.

Random images stand in for the data, since the time does not depend on them; the input pipeline is timed on the
config's own dataset, where that is on disk or can be generated. The step is the first one, before config.curriculum
changes any option. Each part is timed alone (forward and backward), once even where a step repeats it, and of several
seeds that of the first, so that shares need not add up to one. Numbers of different machines, or of a busy one, cannot
be compared: compare ratios within one run.
"""

import contextlib
import resource
import statistics
import time
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags
from ml_collections import config_flags

from ocgm import models, sharding
from ocgm.commands import cli
from ocgm.data.pipeline import train_iterator
from ocgm.data.prefetch import DevicePrefetcher
from ocgm.errors import UserError
from ocgm.models import iodine
from ocgm.models.efficient_morl import EfficientMORL, Gaussian
from ocgm.models.genesis import Genesis
from ocgm.models.genesis_s import GenesisS
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.models.monet import MONet
from ocgm.models.slot_autoencoder import SlotAutoencoder
from ocgm.modules import ic_sbp
from ocgm.modules.slots import fold_slots
from ocgm.training import optimizers
from ocgm.training.step import (
    abstract_state,
    curriculum_options,
    image_to_float,
    init_state,
    make_train_step,
    stream_keys,
)

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


Parts = dict[str, Callable[[], object]]


def genesis_v2_parts(model: GenesisV2, variables: dict, images: jax.Array) -> Parts:
    """Backbone, IC-SBP and decoder of GENESIS-V2."""
    batch, side, k = images.shape[0], model.image_size, model.num_slots
    key = jax.random.key(0)
    embeddings = jax.random.normal(key, (batch, side, side, 8))
    scores = jax.random.uniform(key, (batch, side, side))
    z = jax.random.normal(key, (batch, k, model.slot_size))

    def stick_breaking(embeddings, sigma):
        process = ic_sbp.stick_breaking(embeddings, scores, sigma, kernel=model.kernel, num_slots=k)
        return jnp.sum(jnp.square(process.log_masks))

    stick_breaking = jax.jit(jax.grad(stick_breaking, argnums=(0, 1)))
    return {
        "backbone": part(model, variables, lambda m, x: m.encoder(x), images),
        "IC-SBP": lambda: stick_breaking(embeddings, 0.2),
        "decoder": part(model, variables, lambda m, z: m.decode(z, jnp.ones(z.shape[:2], bool)), z),
    }


def genesis_parts(model: Genesis, variables: dict, images: jax.Array) -> Parts:
    """Mask and component VAE of GENESIS."""
    return {
        "mask VAE": mask_vae_part(model, variables, images, model.mask_latent_size),
        "component VAE": component_vae_part(model, variables, images),
    }


def genesis_s_parts(model: GenesisS, variables: dict, images: jax.Array) -> Parts:
    """Mask VAE and component decoder of GENESIS-S."""
    z = jax.random.normal(jax.random.key(0), (len(images), model.num_slots, model.latent_size))
    return {
        "mask VAE": mask_vae_part(model, variables, images, model.latent_size),
        "component decoder": part(model, variables, lambda m, z: m.decoder(z), z),
    }


def monet_parts(model: MONet, variables: dict, images: jax.Array) -> Parts:
    """Attention and component VAE of MONet."""

    def attend(m, images):
        return m.attend(images, m.num_slots)

    return {
        "attention": part(model, variables, attend, images),
        "component VAE": component_vae_part(model, variables, images),
    }


def efficient_morl_parts(model: EfficientMORL, variables: dict, images: jax.Array) -> Parts:
    """Bottom-up inference, decoder and one refinement step of EfficientMORL."""
    shape = (len(images), model.num_slots, model.latent_size)
    slots = jax.random.normal(jax.random.key(0), shape)
    posterior = Gaussian(slots, slots)
    return {
        "encoder and attention": part(
            model, variables, lambda m, x: m.infer(x, shape, deterministic=False), images
        ),
        "decoder": part(model, variables, lambda m, z: fold_slots(m.image_decoder, z), slots),
        "refinement step": part(
            model, variables, lambda m, *x: m.refiner(*x), posterior, posterior, slots
        ),
    }


def slot_autoencoder_parts(model: SlotAutoencoder, variables: dict, images: jax.Array) -> Parts:
    """Encoder and decoder of Slot Attention and Slot MLP; what makes slots of features is the rest."""
    slots = jax.random.normal(jax.random.key(0), (len(images), model.num_slots, model.latent_size))
    return {
        "encoder": part(model, variables, lambda m, x: m.encode(x), images),
        "decoder": part(model, variables, lambda m, z: m.decode(z), slots),
    }


def iodine_parts(model: iodine.IODINE, variables: dict, images: jax.Array) -> Parts:
    """Decoder and refinement network of IODINE; a step has both several times."""
    batch, k, side = len(images), model.num_slots, model.image_size
    z = jax.random.normal(jax.random.key(0), (batch, k, model.latent_size))
    decoded = jax.random.normal(jax.random.key(1), (batch, k, side, side, 4))
    posterior = jnp.concatenate([z, z], axis=-1)
    state = (jnp.zeros((batch, k, model.lstm_size)),) * 2 if model.lstm_size else ()

    def refine(m, images, decoded, posterior):
        pixels = iodine.explain(images, decoded, m.pixel_scale)
        gradients = iodine.Gradients(posterior, decoded)
        return m.refiner(images, pixels, posterior, gradients, state)

    return {
        "decoder": part(model, variables, lambda m, z: fold_slots(m.decoder, z), z),
        "refinement network": part(model, variables, refine, images, decoded, posterior),
    }


def part(model: nn.Module, variables: dict, method: Callable, *inputs: object) -> Callable:
    """Forward and backward of a method of the model alone, as a call without arguments."""
    state = {name: value for name, value in variables.items() if name != "params"}

    def loss(params, *inputs):
        outputs, _ = model.apply(
            {"params": params, **state},
            *inputs,
            method=method,
            mutable=list(state),
            rngs=stream_keys(jax.random.key(0)),
        )
        return sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(outputs))

    gradient = jax.jit(jax.grad(loss, argnums=tuple(range(1 + len(inputs)))))
    return lambda: gradient(variables["params"], *inputs)


def mask_vae_part(model, variables, images, latent_size) -> Callable:
    noise = jax.random.normal(jax.random.key(0), (len(images), model.num_slots, latent_size))

    def infer_and_decode(m, images, noise):
        mean, sigma, z = m.mask_vae.infer(images, noise, train=True)
        return mean, sigma, m.mask_vae.decode(z, train=True)

    return part(model, variables, infer_and_decode, images, noise)


def component_vae_part(model, variables, images) -> Callable:
    shape = (len(images), model.num_slots, model.image_size, model.image_size, 1)
    log_masks = jnp.full(shape, -jnp.log(model.num_slots))

    def infer_and_decode(m, images, log_masks):
        mean, _ = m.component_vae.infer(images, log_masks, train=True)
        return m.component_vae.decode(mean, train=True)

    return part(model, variables, infer_and_decode, images, log_masks)


# Parts of each model; the VAEs have none worth telling apart.
_PARTS = {
    "efficient_morl": efficient_morl_parts,
    "genesis": genesis_parts,
    "genesis_s": genesis_s_parts,
    "genesis_v2": genesis_v2_parts,
    "iodine": iodine_parts,
    "monet": monet_parts,
    "slot_attention": slot_autoencoder_parts,
    "slot_mlp": slot_autoencoder_parts,
}


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
    shape = (config.batch_size, side, side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    batch = {"image": jax.device_put(images, sharding.batch_sharding(mesh))}

    start = time.perf_counter()
    options = curriculum_options(config, 0)
    step = make_train_step(config, mesh, options).lower(abstract, batch).compile()
    compile_seconds = time.perf_counter() - start

    state = jax.jit(lambda: init_state(config), out_shardings=shardings)()
    # Copies, since the step takes the state's buffers.
    variables = jax.tree.map(jnp.copy, {"params": state.params, **state.model_state})

    def train_step():
        nonlocal state
        state, metrics = step(state, batch)
        return metrics

    step_seconds = median_seconds(train_step, repeats)
    memory, where = peak_memory_gib()
    parts = {}
    if config.model.name in _PARTS:
        floats = image_to_float(batch["image"])
        parts = _PARTS[config.model.name](models.build(config.model), variables, floats)
    parts["optimiser"] = optimizer_part(config, variables["params"])
    shares = {name: median_seconds(f, repeats) / step_seconds for name, f in parts.items()}
    if (seconds := input_seconds(config, mesh, repeats)) is not None:
        shares["input (overlaps)"] = seconds / step_seconds

    device = jax.devices()[0]
    print(
        f"device: {jax.device_count()} x {device.device_kind} ({device.platform}), jax {jax.__version__}"
    )
    print(
        f"model: {config.model.name}, {side}x{side}, K = {config.model.get('num_slots', 1)},"
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
