"""Optimizers by config: the objective, gradient clipping, and Adam, RMSprop or Muon in one chain."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import optax
from optax.contrib import MuonDimensionNumbers, muon

from ocgm.errors import ConfigError, check_choice
from ocgm.training import objectives
from ocgm.training.named_config import named_config

_MUON_LARGEST_DENSE_SIDE = 64

# Neither warm-up, decay nor clipping, as the GENESIS papers and MONet train.
_CONSTANT_RATE = {
    "learning_rate": 1e-4,
    "b1": 0.9,  # of Adam, also for the parameters that Muon leaves to it
    "warmup_steps": 0,
    "decay": "constant",  # "cosine" from decay_begin to zero at decay_steps, or "exponential"
    "decay_steps": 0,
    "decay_rate": 0.5,  # per decay_steps, from decay_begin on ("exponential")
    "decay_begin": 0,
    "clip_norm": 0.0,  # 0 means no clipping
}
_DEFAULTS = {
    "adam": _CONSTANT_RATE,
    "rmsprop": _CONSTANT_RATE,
    "muon": {**_CONSTANT_RATE, "learning_rate": 5e-4},
}


def default_config(name: str, **changes: Any) -> ml_collections.ConfigDict:
    """Return the `optimizer` part of an experiment's config.

    Args:
      name: "adam"; "rmsprop", as MONet's authors use it; or "muon" for kernels, with Nesterov-Adam at the same rate for
        the largest kernels and everything else.
      **changes: values of some fields.

    Raises:
      ConfigError: the name or a field is unknown.
    """
    return named_config("optimizer", _DEFAULTS, name, changes)


def learning_rate_schedule(config: ml_collections.ConfigDict) -> optax.Schedule:
    """Return a linear warm-up over `warmup_steps`, times the decay that `decay` names.

    "constant"; "cosine" to zero at step `decay_steps`, from step `decay_begin` on or, where that is 0, from the end of
    the warm-up; "exponential": `decay_rate` per `decay_steps`, smoothly, from step `decay_begin` on.

    Raises:
      ConfigError: unknown decay, one without `decay_steps`, or a cosine that does not end after it begins.
    """
    check_choice("config.optimizer.decay", config.decay, ("constant", "cosine", "exponential"))
    if config.decay != "constant" and config.decay_steps < 1:
        raise ConfigError(
            f"config.optimizer.decay={config.decay!r} needs config.optimizer.decay_steps, which is"
            f" {config.decay_steps}."
        )
    if config.decay == "exponential":
        return _warmup_exponential(config)
    warmup = optax.constant_schedule(config.learning_rate)
    if config.warmup_steps:
        warmup = optax.linear_schedule(0.0, config.learning_rate, config.warmup_steps)
    if config.decay == "constant":
        return warmup
    begin = config.decay_begin or config.warmup_steps
    if not config.warmup_steps <= begin < config.decay_steps:
        raise ConfigError(
            f"config.optimizer: cosine decay from step {begin} to step decay_steps={config.decay_steps} must come after"
            f" the warm-up of {config.warmup_steps} steps and last at least one."
        )
    cosine = optax.cosine_decay_schedule(config.learning_rate, config.decay_steps - begin)
    return optax.join_schedules([warmup, cosine], [begin])


def _warmup_exponential(config: ml_collections.ConfigDict) -> optax.Schedule:
    # Not optax's: there the decay begins where the warm-up ends, here both may run at once.
    decay = optax.exponential_decay(
        config.learning_rate, config.decay_steps, config.decay_rate, config.decay_begin
    )
    if not config.warmup_steps:
        return decay
    return lambda step: decay(step) * jnp.minimum(1.0, step / config.warmup_steps)


def build(config: ml_collections.ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Build the optimizer of a whole experiment `config`.

    Returns:
      A transform whose state is {"objective": objectives.ObjectiveState, "clip": ..., "rule": ...}.

    Raises:
      ConfigError: unknown optimizer or objective.
    """
    settings = config.optimizer
    check_choice("config.optimizer.name", settings.name, _DEFAULTS)
    schedule = learning_rate_schedule(settings)
    if settings.name == "adam":
        rule = optax.adam(schedule, settings.b1)
    elif settings.name == "rmsprop":
        # PyTorch's defaults.
        rule = optax.rmsprop(schedule, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    else:
        # "muon". One rate for both: at 0.2 Muon's updates have about the size of Adam's (Liu et al. 2025,
        # arXiv:2502.16982); twice that learned sooner.
        rule = muon(
            schedule,
            adam_b1=settings.b1,
            muon_weight_dimension_numbers=_muon_matrices,
            consistent_rms=0.4,
        )
    clip = optax.clip_by_global_norm(settings.clip_norm) if settings.clip_norm else optax.identity()
    objective = objectives.build(config.objective, config.data.image_size)
    return optax.named_chain(("objective", objective), ("clip", clip), ("rule", rule))


def _muon_matrices(params: optax.Params) -> optax.Params:
    """Return which parameters Muon updates, as matrices from inputs to outputs, and None for those of Adam.

    The time to orthogonalise a matrix grows with the square of its smaller side. Large dense kernels are left to Adam:
    those of a U-Net's bottleneck and an LSTM would make a step of the quickstart more than a third longer.
    """

    def matrix(leaf: jax.Array) -> MuonDimensionNumbers | None:
        rank = jnp.ndim(leaf)
        if rank < 2 or (rank == 2 and min(leaf.shape) > _MUON_LARGEST_DENSE_SIDE):
            return None
        return MuonDimensionNumbers(tuple(range(rank - 1)), (rank - 1,))

    return jax.tree.map(matrix, params)
