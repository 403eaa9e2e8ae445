"""Objectives: loss = error_weight * mean(reconstruction_error) + beta * mean(KL), and who sets the weights.

Each objective is an optax transform that passes gradients through. Its state holds the weights of the next step's loss:
the train step reads them before it takes the gradient, and `update(..., reconstruction_error=...)` computes the next
ones. So they are saved, restored and sharded with the optimizer's state.
"""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import optax

from ocgm.errors import ConfigError, check_choice
from ocgm.losses import LossWeights
from ocgm.training.named_config import REQUIRED, named_config

_DEFAULTS: dict[str, dict[str, Any]] = {
    "geco": {
        "goal": 0.5655,  # nats per pixel and channel
        "step_size": 1e-5,  # per nat at 64x64
        "initial_beta": 1.0,
        "decay": 0.99,
        "speedup": 10.0,
        "min_beta": 1e-10,
    },
    "error_weight_geco": {
        "goal": REQUIRED,  # nats per pixel and channel, without the density's constant
        "step_size": 1e-6,  # per nat
        "initial_multiplier": 0.55,
        "decay": 0.99,
        "speedup": 1.0,
        "warm_start": 1_000,
        "beta": 1.0,
    },
    "elbo": {"beta": 0.5, "warmup_steps": 0},
    "elbo_schedule": {"betas": REQUIRED},  # ((step, beta), ...), the first at step 0
}


def default_config(name: str, **changes: Any) -> ml_collections.ConfigDict:
    """Return the `objective` part of an experiment's config.

    Args:
      name: "geco", with the settings of the GENESIS papers; "error_weight_geco", with those of EfficientMORL; "elbo", a
        fixed beta or a linear warm-up to it; or "elbo_schedule", beta along straight lines through (step, beta) points.
      **changes: values of some fields; "error_weight_geco" needs `goal`, "elbo_schedule" needs `betas`.

    Raises:
      ConfigError: the name or a field is unknown, or a required field is missing.
    """
    return named_config("objective", _DEFAULTS, name, changes)


class ObjectiveState(Protocol):
    """What the state of every objective has.

    Attributes:
      loss_weights: weights of the next step's loss.
      error_average: moving average of the reconstruction error, nats an image; None where the objective keeps none.
    """

    loss_weights: LossWeights
    error_average: jax.Array | None


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

    @property
    def loss_weights(self) -> LossWeights:
        return LossWeights(jnp.float32(1.0), self.beta)


class ScheduledBetaState(NamedTuple):
    """State of `scheduled_beta`; scalars.

    Attributes:
      beta: weight of the KL terms at the next step.
      step: number of updates.
    """

    beta: jax.Array
    step: jax.Array

    @property
    def loss_weights(self) -> LossWeights:
        return LossWeights(jnp.float32(1.0), self.beta)

    @property
    def error_average(self) -> None:
        return None


class ErrorWeightGecoState(NamedTuple):
    """State of `error_weight_geco`; scalars.

    Attributes:
      loss_weights: weights of the next step's loss; beta is constant.
      multiplier: Lagrange multiplier of the reconstruction error, before the softplus.
      gap_average: moving average of goal - reconstruction error, nats an image; negative while the goal is missed.
      step: number of updates.
    """

    loss_weights: LossWeights
    multiplier: jax.Array
    gap_average: jax.Array
    step: jax.Array

    @property
    def error_average(self) -> None:
        return None


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

    def weights(multiplier, step):
        error_weight = jnp.where(step < warm_start, 1.0, nn.softplus(multiplier))
        return LossWeights(error_weight, jnp.float32(beta))

    def init(params: optax.Params) -> ErrorWeightGecoState:
        del params
        multiplier = jnp.float32(initial_multiplier)
        return ErrorWeightGecoState(
            weights(multiplier, 0), multiplier, jnp.float32(0.0), jnp.int32(0)
        )

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
        return updates, ErrorWeightGecoState(weights(multiplier, step), multiplier, average, step)

    return optax.GradientTransformationExtraArgs(init, update)


def scheduled_beta(schedule: optax.Schedule) -> optax.GradientTransformationExtraArgs:
    """Set beta as a function of the step: a fixed weight or a warm-up."""

    def init(params: optax.Params) -> ScheduledBetaState:
        del params
        return ScheduledBetaState(jnp.float32(schedule(0)), jnp.int32(0))

    def update(updates, state, params=None, **_):
        del params
        step = state.step + 1
        return updates, ScheduledBetaState(jnp.float32(schedule(step)), step)

    return optax.GradientTransformationExtraArgs(init, update)


def build(
    config: ml_collections.ConfigDict, image_size: int
) -> optax.GradientTransformationExtraArgs:
    """Build the objective that `config` (config.objective) names.

    GECO's goal is given per pixel and channel, that is goal * 3 S^2 nats an image. The step size of "geco" is for 64x64
    images and scaled as its authors' code does, by 64^2 / S^2; that of "error_weight_geco" is per nat.

    Raises:
      ConfigError: unknown name, or points of "elbo_schedule" that do not begin at step 0 and increase.
    """
    check_choice("config.objective.name", config.name, _DEFAULTS)
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
        warmup = ((0, 0.0),) if config.warmup_steps else ()
        return scheduled_beta(_piecewise_linear((*warmup, (config.warmup_steps, config.beta))))
    return scheduled_beta(_piecewise_linear(config.betas))  # "elbo_schedule"


def _piecewise_linear(points: Sequence[tuple[int, float]]) -> optax.Schedule:
    """Return straight lines between (step, beta) points; the last beta stays."""
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
