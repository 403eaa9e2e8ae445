"""Parts of models, each a call that runs its forward and backward pass alone (`experiments.benchmark_train_step`)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from ocgm.models.base import stream_keys
from ocgm.models.efficient_morl import EfficientMORL
from ocgm.models.genesis import Genesis
from ocgm.models.genesis_s import GenesisS
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.models.iodine import IODINE
from ocgm.models.monet import MONet
from ocgm.models.slot_attention import SlotAttention
from ocgm.models.slot_autoencoder import SlotAutoencoder
from ocgm.models.slot_mlp import SlotMLP
from ocgm.modules import ic_sbp
from ocgm.modules.efficient_morl_networks import Gaussian
from ocgm.modules.iodine_networks import Gradients
from ocgm.modules.logistic_mixture import explain
from ocgm.modules.slots import fold_slots

Parts = dict[str, Callable[[], object]]


def genesis_v2_parts(model: GenesisV2, variables: dict, images: jax.Array) -> Parts:
    """Return backbone, IC-SBP and decoder of GENESIS-V2."""
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
    """Return mask VAE and component VAE of GENESIS."""
    return {
        "mask VAE": mask_vae_part(model, variables, images, model.mask_latent_size),
        "component VAE": component_vae_part(model, variables, images),
    }


def genesis_s_parts(model: GenesisS, variables: dict, images: jax.Array) -> Parts:
    """Return mask VAE and component decoder of GENESIS-S."""
    z = jax.random.normal(jax.random.key(0), (len(images), model.num_slots, model.latent_size))
    return {
        "mask VAE": mask_vae_part(model, variables, images, model.latent_size),
        "component decoder": part(model, variables, lambda m, z: m.decoder(z), z),
    }


def monet_parts(model: MONet, variables: dict, images: jax.Array) -> Parts:
    """Return attention and component VAE of MONet."""

    def attend(m, images):
        return m.attend(images, m.num_slots)

    return {
        "attention": part(model, variables, attend, images),
        "component VAE": component_vae_part(model, variables, images),
    }


def efficient_morl_parts(model: EfficientMORL, variables: dict, images: jax.Array) -> Parts:
    """Return bottom-up inference, decoder and one refinement step of EfficientMORL."""
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
    """Return encoder and decoder of Slot Attention and Slot MLP, without the module that computes the slots."""
    slots = jax.random.normal(jax.random.key(0), (len(images), model.num_slots, model.latent_size))
    return {
        "encoder": part(model, variables, lambda m, x: m.encode(x), images),
        "decoder": part(model, variables, lambda m, z: m.decode(z), slots),
    }


def iodine_parts(model: IODINE, variables: dict, images: jax.Array) -> Parts:
    """Return decoder and refinement network of IODINE; a step runs both several times."""
    batch, k, side = len(images), model.num_slots, model.image_size
    z = jax.random.normal(jax.random.key(0), (batch, k, model.latent_size))
    decoded = jax.random.normal(jax.random.key(1), (batch, k, side, side, 4))
    posterior = jnp.concatenate([z, z], axis=-1)
    state = (jnp.zeros((batch, k, model.lstm_size)),) * 2 if model.lstm_size else ()

    def refine(m, images, decoded, posterior):
        pixels = explain(images, decoded, m.pixel_scale)
        gradients = Gradients(posterior, decoded)
        return m.refiner(images, pixels, posterior, gradients, state)

    return {
        "decoder": part(model, variables, lambda m, z: fold_slots(m.decoder, z), z),
        "refinement network": part(model, variables, refine, images, decoded, posterior),
    }


def part(model: nn.Module, variables: dict, method: Callable, *inputs: object) -> Callable:
    """Return forward and backward pass of one method of the model, as a call without arguments."""
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
    """Return inference and decoder of a mask VAE."""
    noise = jax.random.normal(jax.random.key(0), (len(images), model.num_slots, latent_size))

    def infer_and_decode(m, images, noise):
        mean, sigma, z = m.mask_vae.infer(images, noise, train=True)
        return mean, sigma, m.mask_vae.decode(z, train=True)

    return part(model, variables, infer_and_decode, images, noise)


def component_vae_part(model, variables, images) -> Callable:
    """Return inference and decoder of a component VAE."""
    shape = (len(images), model.num_slots, model.image_size, model.image_size, 1)
    log_masks = jnp.full(shape, -jnp.log(model.num_slots))

    def infer_and_decode(m, images, log_masks):
        mean, _ = m.component_vae.infer(images, log_masks, train=True)
        return m.component_vae.decode(mean, train=True)

    return part(model, variables, infer_and_decode, images, log_masks)


# The VAEs have no parts of interest.
_PARTS = {
    EfficientMORL: efficient_morl_parts,
    Genesis: genesis_parts,
    GenesisS: genesis_s_parts,
    GenesisV2: genesis_v2_parts,
    IODINE: iodine_parts,
    MONet: monet_parts,
    SlotAttention: slot_autoencoder_parts,
    SlotMLP: slot_autoencoder_parts,
}


def parts_of(model: nn.Module, variables: dict, images: jax.Array) -> Parts:
    """Return the parts of a model by name; {} for models without any.

    Args:
      model: the model.
      variables: its variables.
      images: float32 [B, S, S, 3] in [0, 1].
    """
    make = _PARTS.get(type(model))
    return make(model, variables, images) if make else {}
