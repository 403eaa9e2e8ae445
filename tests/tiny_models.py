"""A tiny model of each kind: its fields, an experiment that trains it in seconds, and an untrained one."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ocgm import models
from ocgm.inference import TrainedModel
from ocgm.models import abstract_variables

STEPS = 6
_GENESIS = {"mask_latent_size": 8, "component_latent_size": 4, "component_features": 4}
_SLOTS = {
    "latent_size": 8,
    "encoder_features": (8, 8),
    "encoder_strides": (2, 1),
    "decoder_features": 8,
    "decoder_grid": 8,
    "decoder_output_stride": 2,
}
MODELS = {
    "genesis": {"name": "genesis", "num_slots": 2, **_GENESIS},
    "genesis_symmetric": {"name": "genesis", "num_slots": 2, "symmetric": True, **_GENESIS},
    "genesis_s": {"name": "genesis_s", "num_slots": 3, "latent_size": 8, "decoder_features": 4},
    "genesis_v2": {"name": "genesis_v2", "num_slots": 3, "feature_dim": 8},
    "monet": {
        "name": "monet",
        "num_slots": 3,
        "attention_features": 4,
        "component_latent_size": 4,
        "component_features": 4,
    },
    "one_slot_sbd_vae": {"name": "one_slot_vae", "latent_size": 4, "width": 4},
    "one_slot_dc_vae": {"name": "one_slot_vae", "latent_size": 4, "decoder": "deconv"},
    "bd_vae": {"name": "image_vae", "latent_size": 8},
    "dc_vae": {"name": "image_vae", "latent_size": 8, "decoder": "deconv"},
    "efficient_morl": {
        "name": "efficient_morl",
        "num_slots": 3,
        "latent_size": 4,
        "stochastic_layers": 2,
        "refinement_steps": 1,
        "component_sigma": 0.7,
        "decoder": "small",
    },
    "iodine": {
        "name": "iodine",
        "num_slots": 3,
        "latent_size": 4,
        "refinement_steps": 2,
        "width": 4,
        "mlp_sizes": (8,),
        "lstm_size": 8,
        "pixel_scale": 0.3,
    },
    "slot_attention": {"name": "slot_attention", "num_slots": 3, **_SLOTS},
    "slot_mlp": {"name": "slot_mlp", "num_slots": 3, "hidden_sizes": (8,), **_SLOTS},
}


def experiment(tiny_config, name: str, **changes):
    """Return the tiny experiment with another model; keyword arguments are dotted fields."""
    settings = {
        "batch_size": 2,
        "num_train_steps": STEPS,
        "evaluation__every_steps": STEPS,
        "evaluation__num_images": 2,
        "evaluation__batch_size": 2,
        "checkpoint__every_steps": STEPS // 2,
    }
    config = tiny_config(**settings | changes)
    side = config.data.get_ref("image_size")
    with config.unlocked():
        config.model = ConfigDict({"image_size": side, **MODELS[name]})
    return config


def fresh(name: str, **changes) -> TrainedModel:
    """Return a model whose variables are all zero."""
    settings = ConfigDict({"image_size": 32, **MODELS[name], **changes})
    model = models.build(settings)
    variables = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), abstract_variables(model)
    )
    return TrainedModel(
        ConfigDict({"model": settings, "evaluation": {"model_options": {}}}), model, variables, 0
    )
