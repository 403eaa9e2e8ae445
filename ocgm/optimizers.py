"""Optimisers by config: the objective that owns beta, gradient clipping, and Adam or RMSprop."""

import jax.numpy as jnp
import ml_collections
import optax

from ocgm import objectives
from ocgm.errors import ConfigError


def learning_rate_schedule(config: ml_collections.ConfigDict) -> optax.Schedule:
    """Linear warm-up over `warmup_steps`, times the decay that `decay` names.

    "constant"; "cosine" to zero at `decay_steps`; "exponential": `decay_rate` per `decay_steps`, smoothly, from step
    `decay_begin` on.

    Raises:
      ConfigError: unknown decay, or one without `decay_steps`.
    """
    if config.decay not in ("constant", "cosine", "exponential"):
        raise ConfigError(
            f"config.optimizer.decay={config.decay!r} is not 'constant', 'cosine' or 'exponential'."
        )
    if config.decay != "constant" and config.decay_steps < 1:
        raise ConfigError(
            f"config.optimizer.decay={config.decay!r} needs config.optimizer.decay_steps, which is"
            f" {config.decay_steps}."
        )
    if config.decay == "exponential":
        return _warmup_exponential(config)
    if config.decay == "cosine":
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0 if config.warmup_steps else config.learning_rate,
            peak_value=config.learning_rate,
            warmup_steps=config.warmup_steps,
            decay_steps=config.decay_steps,
        )
    if config.warmup_steps:
        return optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    return optax.constant_schedule(config.learning_rate)


def _warmup_exponential(config: ml_collections.ConfigDict) -> optax.Schedule:
    # Not optax's: there the decay begins where the warm-up ends, here both may run at once.
    decay = optax.exponential_decay(
        config.learning_rate, config.decay_steps, config.decay_rate, config.decay_begin
    )
    if not config.warmup_steps:
        return decay
    return lambda step: decay(step) * jnp.minimum(1.0, step / config.warmup_steps)


def build(config: ml_collections.ConfigDict) -> optax.GradientTransformationExtraArgs:
    """The optimiser of a whole experiment `config`; its state holds the objective's beta.

    Raises:
      ConfigError: unknown optimiser or objective.
    """
    settings = config.optimizer
    schedule = learning_rate_schedule(settings)
    if settings.name == "adam":
        rule = optax.adam(schedule, settings.b1)
    elif settings.name == "rmsprop":
        # PyTorch's defaults.
        rule = optax.rmsprop(schedule, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    else:
        raise ConfigError(f"config.optimizer.name={settings.name!r} is not 'adam' or 'rmsprop'.")
    clip = optax.clip_by_global_norm(settings.clip_norm) if settings.clip_norm else optax.identity()
    objective = objectives.build(config.objective, config.data.image_size)
    return optax.chain(objective, clip, rule)
