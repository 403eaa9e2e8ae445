"""Pieces that the experiments share. A config is plain data: numbers, strings, tuples."""

import itertools
from typing import NamedTuple

from ml_collections import ConfigDict

from ocgm.data import registry
from ocgm.errors import ConfigError


class Dataset(NamedTuple):
    """How the papers use a dataset: image side, K, and GENESIS' GECO goal in nats per pixel and channel."""

    image_size: int
    num_slots: int
    goal: float


_GOALS = {"sketchy": 0.5645, "sketchy_synthetic": 0.5645}
DATASETS = {
    name: Dataset(spec.image_size, spec.num_slots, _GOALS.get(name, 0.5655))
    for name, spec in registry.DATASETS.items()
}


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


def elbo_schedule(*betas: tuple[int, float]) -> ConfigDict:
    """Beta along straight lines through (step, beta) points, the first at step 0; the last beta stays."""
    return ConfigDict({"name": "elbo_schedule", "betas": betas})


def adam(learning_rate: float = 1e-4) -> ConfigDict:
    """Adam at a constant rate; the authors use neither warm-up, decay nor clipping."""
    return _optimizer("adam", learning_rate)


def rmsprop(learning_rate: float = 1e-4) -> ConfigDict:
    """RMSprop at a constant rate, as MONet's authors use it."""
    return _optimizer("rmsprop", learning_rate)


def muon(learning_rate: float = 5e-4) -> ConfigDict:
    """Muon for kernels, Adam with Nesterov's momentum for the rest and the largest kernels, at one rate; no paper's."""
    return _optimizer("muon", learning_rate)


def _optimizer(name: str, learning_rate: float) -> ConfigDict:
    return ConfigDict(
        {
            "name": name,
            "learning_rate": learning_rate,
            "b1": 0.9,  # of Adam, also where Muon leaves parameters to it
            "warmup_steps": 0,
            "decay": "constant",  # "cosine" from decay_begin to zero at decay_steps, or "exponential"
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
    data_config = registry.default_config(dataset)
    # One source for the image side: --config.data.image_size sets the model's too.
    image_size = data_config.get_ref("image_size")
    return ConfigDict(
        {
            "seed": 0,
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
        likelihood="mixture",
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
        latent_size=0,
        kernel="gaussian",
        initial_kernel_sigma=0.0,
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


# ---- EfficientMORL and what its paper compares with


def halving(config: ConfigDict, begin: int = 0) -> None:
    """Slot Attention's learning rate: 4e-4, a warm-up of 10,000 steps, and half of it every 100,000 from `begin` on."""
    config.optimizer.update(
        learning_rate=4e-4,
        warmup_steps=10_000,
        decay="exponential",
        decay_rate=0.5,
        decay_steps=100_000,
        decay_begin=begin,
    )


def efficient_morl(dataset: str) -> ConfigDict:
    """EfficientMORL: two of the three datasets differ in what the experiments' files then change."""
    config = experiment(
        dataset,
        "efficient_morl",
        num_slots=DATASETS[dataset].num_slots,
        latent_size=64,
        stochastic_layers=3,
        refinement_steps=3,
        prior="reversed++",
        likelihood="mixture",
        component_sigma=0.1,
        dual_gru=True,
        decoder="iodine",
        paper_discount=False,
        paper_refinement_prior=False,
        train_gradient_batch=4,  # eight processes with four images each
        eval_gradient_batch=1,
    )
    config.seed = 1
    config.num_train_steps = 300_000
    config.curriculum = ((100_000, "refinement_steps", 1),)
    config.evaluation.model_options = ConfigDict({"refinement_steps": 1})
    config.objective = elbo(beta=1.0)
    halving(config, begin=10_000)
    config.optimizer.clip_norm = 5.0
    return config


def efficient_morl_tetrominoes() -> ConfigDict:
    """Smaller latents and decoder, three refinement steps throughout, two processes with sixteen images each."""
    config = efficient_morl("tetrominoes")
    config.model.update(
        latent_size=32,
        likelihood="gaussian",
        component_sigma=0.3,
        decoder="small",
        train_gradient_batch=16,
    )
    config.num_train_steps = 200_000
    config.curriculum = ()
    config.evaluation.model_options.refinement_steps = 3
    config.objective = error_weight_geco(goal=-1.224)
    return config


def efficient_morl_multi_dsprites() -> ConfigDict:
    """Multi-dSprites with coloured sprites on grey; no GECO."""
    config = efficient_morl("multi_dsprites_deepmind")
    config.data.variant = "colored_on_grayscale"
    config.model.likelihood = "gaussian"
    return config


def efficient_morl_clevr6() -> ConfigDict:
    """CLEVR scenes with at most six objects, at 96x96."""
    config = efficient_morl("clevr_with_masks")
    config.data.update(variant="clevr6", protocol="efficient_morl", image_size=96)
    config.objective = error_weight_geco(goal=-2.206)
    return config


def _slot_autoencoder(dataset: str, model: str, **fields: object) -> ConfigDict:
    config = experiment(
        dataset,
        model,
        num_slots=DATASETS[dataset].num_slots,
        latent_size=64,
        variant="published",
        encoder_features=(64, 64, 64, 64),
        encoder_strides=(1, 1, 1, 1),
        feature_size=0,
        decoder="deconv",
        decoder_features=0,
        decoder_grid=0,
        decoder_output_stride=1,
        colour_offset=0.0,
        **fields,
    )
    if dataset == "clevr_with_masks":
        config.data.update(variant="clevr6", protocol="slot_attention", image_size=128)
    else:
        # The 32 channels and the decoder at full resolution are of a third party's configuration.
        config.model.update(encoder_features=(32, 32, 32, 32), decoder="full")
    config.batch_size = 64
    config.objective = elbo(beta=0.0)  # there is no KL
    halving(config)
    return config


def slot_attention(dataset: str) -> ConfigDict:
    """Slot Attention as published for CLEVR, and in its spirit for the smaller images."""
    return _slot_autoencoder(
        dataset, "slot_attention", iterations=3, hidden_size=128, implicit_gradient=False
    )


def slot_mlp(dataset: str) -> ConfigDict:
    """Slot MLP; its sizes are ours."""
    return _slot_autoencoder(dataset, "slot_mlp", hidden_sizes=(512, 512))


def slot_attention_of_efficient_morl(dataset: str) -> ConfigDict:
    """Slot Attention as EfficientMORL's authors re-implemented and trained it."""
    config = slot_attention(dataset)
    config.model.update(variant="efficient_morl", encoder_features=(64, 64, 64, 64))
    config.model.decoder = "deconv" if dataset == "clevr_with_masks" else "small"
    config.model.latent_size = 32 if dataset == "tetrominoes" else 64
    if dataset == "clevr_with_masks":
        config.data.update(protocol="efficient_morl", image_size=96)
    config.seed = 1
    halving(config, begin=10_000)
    return config


def iodine(dataset: str) -> ConfigDict:
    """IODINE's published configuration of CLEVR6; `SMALL_IODINE` has the other two's differences."""
    config = experiment(
        dataset,
        "iodine",
        num_slots=DATASETS[dataset].num_slots,
        latent_size=64,
        refinement_steps=5,
        width=64,
        kernel_size=3,
        encoder_layers=4,
        mlp_sizes=(256, 256),
        lstm_size=256,
        coordinates="linear",
        pixel_scale=0.03,
        remat=True,
        train_gradient_batch=0,
        eval_gradient_batch=0,
    )
    config.num_train_steps = 1_000_000
    config.batch_size = 4
    config.objective = elbo(beta=1.0)
    config.optimizer.update(
        b1=0.95,
        clip_norm=5.0,
        learning_rate=3.54e-4,
        decay="exponential",
        decay_rate=0.1,
        decay_steps=1_000_000,
    )
    return config


# What the published configurations of sprites have otherwise; latents, batch and learning rate differ between them.
SMALL_IODINE = {
    "width": 32,
    "kernel_size": 5,
    "encoder_layers": 3,
    "mlp_sizes": (128,),
    "coordinates": "cosine",
}


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
