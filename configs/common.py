"""Pieces that the experiments share. A config is plain data: numbers, strings, tuples."""

import itertools
from typing import NamedTuple

from ml_collections import ConfigDict

from ocgm.errors import ConfigError


class Dataset(NamedTuple):
    """How the GENESIS papers use a dataset: image side, K, and GECO's goal in nats per pixel and channel."""

    image_size: int
    num_slots: int
    goal: float = 0.5655


DATASETS = {
    "multi_dsprites": Dataset(64, 5),
    "gqn": Dataset(64, 7),
    "objects_room": Dataset(64, 7),
    "shapestacks": Dataset(64, 9),
    "sketchy": Dataset(128, 10, goal=0.5645),
    "apc": Dataset(128, 10),
}


def data(name: str) -> ConfigDict:
    """A dataset at the image side that the papers use."""
    return ConfigDict(
        {
            "name": name,
            "variant": "",  # "" means the dataset's first; multi_dsprites: "plain" or "unique" colours
            "image_size": DATASETS[name].image_size,
            "data_dir": "",  # "" means $OCGM_DATA_DIR, or ~/tensorflow_datasets
            "sprites_path": "",  # dSprites npz; "" renders the sprites analytically
            "num_examples": (),  # (train, validation, test); () means all
        }
    )


def geco(goal: float = 0.5655) -> ConfigDict:
    """GECO with the authors' settings; goal in nats per pixel and channel, step size per nat at 64x64."""
    return ConfigDict(
        {
            "name": "geco",
            "goal": goal,
            "step_size": 1e-5,
            "initial_beta": 1.0,
            "decay": 0.99,
            "speedup": 10.0,
            "min_beta": 1e-10,
        }
    )


def error_weight_geco(goal: float, speedup: float = 1.0) -> ConfigDict:
    """GECO as EfficientMORL's authors use it; goal in nats per pixel and channel, without the density's constant."""
    return ConfigDict(
        {
            "name": "error_weight_geco",
            "goal": goal,
            "step_size": 1e-6,
            "initial_multiplier": 0.55,
            "decay": 0.99,
            "speedup": speedup,
            "warm_start": 1_000,
            "beta": 1.0,
        }
    )


def elbo(beta: float = 0.5, warmup_steps: int = 0) -> ConfigDict:
    """Fixed beta, or a linear warm-up to it."""
    return ConfigDict({"name": "elbo", "beta": beta, "warmup_steps": warmup_steps})


def adam(learning_rate: float = 1e-4) -> ConfigDict:
    """Adam at a constant rate; the authors use neither warm-up, decay nor clipping."""
    return _optimizer("adam", learning_rate)


def rmsprop(learning_rate: float = 1e-4) -> ConfigDict:
    """RMSprop at a constant rate, as MONet's authors use it."""
    return _optimizer("rmsprop", learning_rate)


def _optimizer(name: str, learning_rate: float) -> ConfigDict:
    return ConfigDict(
        {
            "name": name,
            "learning_rate": learning_rate,
            "b1": 0.9,  # of Adam
            "warmup_steps": 0,
            "decay": "constant",  # "cosine" to zero at decay_steps, or "exponential"
            "decay_steps": 0,
            "decay_rate": 0.5,  # per decay_steps, from decay_begin on ("exponential")
            "decay_begin": 0,
            "clip_norm": 0.0,  # 0 means no clipping
        }
    )


def experiment(dataset: str, model: str, **fields: object) -> ConfigDict:
    """The training protocol of the GENESIS papers: GECO, Adam, batch 32, 500,000 steps.

    Args:
      dataset: a name of `DATASETS`.
      model: a name of ocgm.models.
      **fields: the model's other fields.
    """
    data_config = data(dataset)
    # One source for the image side: --config.data.image_size sets the model's too.
    image_size = data_config.get_ref("image_size")
    return ConfigDict(
        {
            "seed": 0,
            "num_seeds": 1,  # N > 1 trains seed, ..., seed + N - 1 together on one device
            "batch_size": 32,
            "num_train_steps": 500_000,
            "max_train_minutes": 0.0,  # stop, evaluate and save after so long; 0 means never
            "model": {"name": model, "image_size": image_size, "dtype": "float32", **fields},
            "data": data_config,
            "objective": geco(DATASETS[dataset].goal),
            "optimizer": adam(),
            "evaluation": {
                "every_steps": 5_000,
                "num_images": 320,
                "batch_size": 32,
                "num_figure_images": 8,
                "model_options": {},  # of the model's call, such as {"refinement_steps": 1}
            },
            "checkpoint": {"every_steps": 5_000, "keep": 3, "keep_every_steps": 125_000},
            "log_every_steps": 500,
            "curriculum": (),  # (from step, option of the model's call, value), ...
            "mesh": {"data": -1, "fsdp": 1},
        }
    )


# ---- models at paper width, on a dataset of the papers


def _slot_model(dataset: str, model: str, **fields: object) -> ConfigDict:
    num_slots = DATASETS[dataset].num_slots
    return experiment(dataset, model, num_slots=num_slots, component_sigma=0.7, **fields)


_MASK_VAE = {"encoder_norm": "batch", "decoder_norm": "batch", "sample_bounded_mean": True}


def genesis(dataset: str) -> ConfigDict:
    """GENESIS: latents of masks, and of components given masks."""
    return _slot_model(
        dataset,
        "genesis",
        **_MASK_VAE,
        mask_latent_size=64,
        component_latent_size=16,
        component_features=32,
        symmetric=False,
        component_prior=True,
    )


def genesis_s(dataset: str) -> ConfigDict:
    """GENESIS-S: one latent a slot, for mask and component."""
    return _slot_model(dataset, "genesis_s", **_MASK_VAE, latent_size=64, decoder_features=32)


def monet_g(dataset: str) -> ConfigDict:
    """MONet as the GENESIS papers train it, with GECO."""
    return _slot_model(
        dataset,
        "monet",
        attention_features=32,
        component_latent_size=16,
        component_features=32,
        background_sigma=0.7,
        mask_prior="softmax",
        monte_carlo_kl=True,
    )


def monet(dataset: str) -> ConfigDict:
    """MONet with the settings of Burgess et al. (2019)."""
    config = monet_g(dataset)
    config.model.background_sigma = 0.09
    config.model.component_sigma = 0.11
    config.objective = elbo(beta=0.5)
    config.optimizer = rmsprop()
    config.batch_size = 64
    config.num_train_steps = 1_000_000
    return config


def genesis_v2(dataset: str) -> ConfigDict:
    """GENESIS-V2."""
    return _slot_model(
        dataset,
        "genesis_v2",
        feature_dim=64,
        kernel="gaussian",
        semi_convolutional=True,
        autoregressive_prior=True,
        mask_loss=False,
        detach_mask_loss_target=True,
    )


def image_vae(dataset: str, decoder: str) -> ConfigDict:
    """The GENESIS paper's baselines without slots: BD-VAE ("broadcast") and DC-VAE ("deconv")."""
    return experiment(dataset, "image_vae", latent_size=64, decoder=decoder, component_sigma=0.7)


def one_slot_vae(dataset: str, decoder: str) -> ConfigDict:
    """GENESIS with a single component: SBD-VAE ("broadcast") and DC-VAE ("deconv") of the bottlenecks paper."""
    return experiment(
        dataset,
        "one_slot_vae",
        latent_size=16,
        decoder=decoder,
        width=32,
        component_sigma=0.7,
    )


# ---- files with several experiments: --config=FILE:SPEC


def expand_specs(patterns: tuple[str, ...]) -> list[str]:
    """("a|b,c",) -> ["a,c", "b,c"]."""
    return [
        ",".join(parts)
        for pattern in patterns
        for parts in itertools.product(*(choices.split("|") for choices in pattern.split(",")))
    ]


def split_spec(spec: str, patterns: tuple[str, ...]) -> list[str]:
    """The parts of a spec that fits one of the patterns.

    Raises:
      ConfigError: it fits none.
    """
    if spec not in expand_specs(patterns):
        raise ConfigError(f"--config=FILE:{spec}: SPEC must be one of {'  or  '.join(patterns)}")
    return spec.split(",")
