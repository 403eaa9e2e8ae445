"""Objectives: loss = error_weight * mean(reconstruction_error) + beta * mean(KL), and who sets the weights.

Each objective is an optax transform that passes gradients through and owns the weights: the optimiser state holds them,
the train step reads them before the gradient, and `update(..., reconstruction_error=...)` moves them on. So they are
saved, restored and sharded like the rest of the optimiser.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax

from ocgm.errors import ConfigError
from ocgm.losses import LossWeights


class GecoState(NamedTuple):
    """State of `geco`; scalars.

    Attributes:
      beta: weight of the KL terms at the next step.
      error_average: moving average of the reconstruction error, nats an image.
      step: number of updates.
    """

    beta: jax.Array
    error_average: jax.Array
    step: jax.Array


class BetaState(NamedTuple):
    """State of objectives with a scheduled beta; scalars."""

    beta: jax.Array
    step: jax.Array


def geco(
    goal: float,
    step_size: float,
    *,
    initial_beta: float = 1.0,
    decay: float = 0.99,
    speedup: float = 10.0,
    min_beta: float = 1e-10,
    max_beta: float = 1e10,
) -> optax.GradientTransformationExtraArgs:
    """Generalised ELBO with constrained optimisation (Rezende and Viola 2018), as the GENESIS papers use it.

    After the gradient has been taken with the present beta: error_average becomes the error itself at the first update
    and decay * average + (1 - decay) * error later; then beta is multiplied by exp(step_size * (goal - average)), with
    `speedup` times the step where the error is below its goal, and clamped.

    Args:
      goal: target of the reconstruction error, nats an image.
      step_size: per nat.
      initial_beta: beta of the first step.
      decay: of the moving average.
      speedup: factor on the step size while the average is below the goal.
      min_beta, max_beta: bounds.
    """

    def init(params: optax.Params) -> GecoState:
        del params
        return GecoState(jnp.float32(initial_beta), jnp.float32(0.0), jnp.int32(0))

    def update(updates, state, params=None, *, reconstruction_error, **_):
        del params
        error = jax.lax.stop_gradient(reconstruction_error)
        average = jnp.where(
            state.step == 0, error, decay * state.error_average + (1.0 - decay) * error
        )
        gap = goal - average
        rate = jnp.where(gap > 0.0, speedup * step_size, step_size)
        beta = jnp.clip(jnp.exp(rate * gap) * state.beta, min_beta, max_beta)
        return updates, GecoState(beta, average, state.step + 1)

    return optax.GradientTransformationExtraArgs(init, update)


class ErrorWeightGecoState(NamedTuple):
    """State of `error_weight_geco`; scalars.

    Attributes:
      beta: weight of the KL terms at the next step; constant.
      error_weight: weight of the reconstruction error at the next step.
      multiplier: its Lagrange multiplier, before the softplus.
      gap_average: moving average of goal - reconstruction error, nats an image; negative while the goal is missed.
      step: number of updates.
    """

    beta: jax.Array
    error_weight: jax.Array
    multiplier: jax.Array
    gap_average: jax.Array
    step: jax.Array


def error_weight_geco(
    goal: float,
    step_size: float,
    *,
    initial_multiplier: float = 0.55,
    decay: float = 0.99,
    speedup: float = 1.0,
    warm_start: int = 1000,
    beta: float = 1.0,
) -> optax.GradientTransformationExtraArgs:
    """GECO that weighs the reconstruction error instead of the KL (EfficientMORL appendix F.2).

    The error's weight is softplus(multiplier), 1 before step `warm_start`. From there on, after the gradient: the gap
    average becomes goal - error at the first update and decay * average + (1 - decay) * (goal - error) later; then the
    multiplier goes down by step_size * average, with `speedup` times the step where the average is positive (the goal
    is met), but not below `initial_multiplier`. So the weight grows while the error is above its goal and stays at
    about 1 (softplus(0.55) = 1.005) once it is not. Warm start and speed-up are in the authors' code, not in the paper.

    Args:
      goal: target of the reconstruction error, nats an image.
      step_size: per nat.
      initial_multiplier: multiplier at the start, and its lower bound.
      decay: of the moving average.
      speedup: factor on the step size while the average is positive.
      warm_start: number of steps with weight 1.
      beta: weight of the KL terms.
    """

    def init(params: optax.Params) -> ErrorWeightGecoState:
        del params
        multiplier = jnp.float32(initial_multiplier)
        return ErrorWeightGecoState(
            jnp.float32(beta),
            weight(multiplier, 0),
            multiplier,
            jnp.float32(0.0),
            jnp.int32(0),
        )

    def weight(multiplier, step):
        return jnp.where(step < warm_start, 1.0, nn.softplus(multiplier))

    def update(updates, state, params=None, *, reconstruction_error, **_):
        del params
        gap = goal - jax.lax.stop_gradient(reconstruction_error)
        smoothed = decay * state.gap_average + (1.0 - decay) * gap
        average = jnp.where(state.step > warm_start, smoothed, gap)
        rate = jnp.where(average > 0.0, speedup * step_size, step_size)
        multiplier = jnp.maximum(initial_multiplier, state.multiplier - rate * average)
        average = jnp.where(state.step < warm_start, state.gap_average, average)
        # At step `warm_start` itself the average begins and the multiplier does not move yet.
        multiplier = jnp.where(state.step > warm_start, multiplier, state.multiplier)
        step = state.step + 1
        return updates, ErrorWeightGecoState(
            state.beta, weight(multiplier, step), multiplier, average, step
        )

    return optax.GradientTransformationExtraArgs(init, update)


def scheduled_beta(schedule: optax.Schedule) -> optax.GradientTransformationExtraArgs:
    """Beta as a function of the step: a fixed weight or a warm-up."""

    def init(params: optax.Params) -> BetaState:
        del params
        return BetaState(jnp.float32(schedule(0)), jnp.int32(0))

    def update(updates, state, params=None, **_):
        del params
        step = state.step + 1
        return updates, BetaState(jnp.float32(schedule(step)), step)

    return optax.GradientTransformationExtraArgs(init, update)


def current_weights(opt_state: optax.OptState) -> LossWeights:
    """Weights of the next step from an optimiser state that holds an objective's state."""
    error_weight = optax.tree.get(opt_state, "error_weight", default=jnp.float32(1.0))
    return LossWeights(error_weight, optax.tree.get(opt_state, "beta"))


def with_weights(model_state: dict, opt_state: optax.OptState) -> dict:
    """The model's state with the weights of the next step in the collection `loss_weights`."""
    return {**model_state, "loss_weights": current_weights(opt_state)._asdict()}


def error_average(opt_state: optax.OptState) -> jax.Array | None:
    """GECO's moving average of the reconstruction error, nats an image; None for objectives that keep none."""
    return optax.tree.get(opt_state, "error_average")


_DEFAULTS = {
    # Goal in nats per pixel and channel, step size per nat at 64x64 (GENESIS, appendix B.4).
    "geco": {
        "goal": 0.5655,
        "step_size": 1e-5,
        "initial_beta": 1.0,
        "decay": 0.99,
        "speedup": 10.0,
        "min_beta": 1e-10,
    },
    # Goal in nats per pixel and channel, without the density's constant (EfficientMORL, appendix F.2).
    "error_weight_geco": {
        "goal": 0.0,
        "step_size": 1e-6,
        "initial_multiplier": 0.55,
        "decay": 0.99,
        "speedup": 1.0,
        "warm_start": 1_000,
        "beta": 1.0,
    },
    "elbo": {"beta": 0.5, "warmup_steps": 0},
    "elbo_schedule": {"betas": ((0, 1.0),)},
}


def default_config(name: str, **changes: Any) -> ml_collections.ConfigDict:
    """Return the config of an objective (config.objective): its defaults, with `changes`.

    Raises:
      ConfigError: there is no objective of this name, or it has no such field.
    """
    if name not in _DEFAULTS:
        raise ConfigError(f"config.objective.name={name!r} is not one of {sorted(_DEFAULTS)}.")
    if unknown := sorted(set(changes) - set(_DEFAULTS[name])):
        raise ConfigError(f"config.objective has no field(s) {unknown} for name={name!r}.")
    return ml_collections.ConfigDict({"name": name, **_DEFAULTS[name], **changes})


def build(
    config: ml_collections.ConfigDict, image_size: int
) -> optax.GradientTransformationExtraArgs:
    """The objective that `config` (config.objective) names.

    GECO's goal is given per pixel and channel, that is goal * 3 S^2 nats an image. The step size of "geco" is for 64x64
    images and scaled as its authors' code does, by 64^2 / S^2; that of "error_weight_geco" is per nat.

    Raises:
      ConfigError: unknown name, or points of "elbo_schedule" that do not begin at step 0 and increase.
    """
    elements = 3 * image_size**2
    if config.name == "geco":
        return geco(
            goal=config.goal * elements,
            step_size=config.step_size * 64**2 / image_size**2,
            initial_beta=config.initial_beta,
            decay=config.decay,
            speedup=config.speedup,
            min_beta=config.min_beta,
        )
    if config.name == "error_weight_geco":
        return error_weight_geco(
            goal=config.goal * elements,
            step_size=config.step_size,
            initial_multiplier=config.initial_multiplier,
            decay=config.decay,
            speedup=config.speedup,
            warm_start=config.warm_start,
            beta=config.beta,
        )
    if config.name == "elbo":
        warmup = optax.linear_schedule(0.0, config.beta, config.warmup_steps)
        return scheduled_beta(
            warmup if config.warmup_steps else optax.constant_schedule(config.beta)
        )
    if config.name == "elbo_schedule":
        return scheduled_beta(_piecewise_linear(config.betas))
    raise ConfigError(
        f"config.objective.name={config.name!r} is not one of 'geco', 'error_weight_geco', 'elbo', 'elbo_schedule'."
    )


def _piecewise_linear(points: Sequence[tuple[int, float]]) -> optax.Schedule:
    """Straight lines between (step, beta) points; the last beta stays."""
    steps = [step for step, _ in points]
    if steps[:1] != [0] or any(begin >= end for begin, end in itertools.pairwise(steps)):
        raise ConfigError(
            f"config.objective.betas={points!r}: the steps must begin at 0 and increase."
        )
    lines = [
        optax.linear_schedule(beta, next_beta, end - begin)
        for (begin, beta), (end, next_beta) in itertools.pairwise(points)
    ]
    _, last_beta = points[-1]
    return optax.join_schedules([*lines, optax.constant_schedule(last_beta)], steps[1:])
