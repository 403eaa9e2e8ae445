"""Objectives: loss = mean(reconstruction_error) + beta * mean(KL), and who sets beta.

Each objective is an optax transform that passes gradients through and owns beta: the optimiser state holds it, the
train step reads it before the gradient, and `update(..., reconstruction_error=...)` moves it on. So it is saved,
restored and sharded like the rest of the optimiser.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import optax

from ocgm.errors import ConfigError


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


def current_beta(opt_state: optax.OptState) -> jax.Array:
    """Beta of the next step, a scalar, from an optimiser state that holds an objective's state."""
    return optax.tree.get(opt_state, "beta")


def error_average(opt_state: optax.OptState) -> jax.Array | None:
    """GECO's moving average of the reconstruction error, nats an image; None for objectives that keep none."""
    return optax.tree.get(opt_state, "error_average")


def build(
    config: ml_collections.ConfigDict, image_size: int
) -> optax.GradientTransformationExtraArgs:
    """The objective that `config` (config.objective) names.

    GECO's goal is given per pixel and channel, its step size for 64x64 images; both are scaled to the image size as the
    authors' code does: goal * 3 S^2 nats, step_size * 64^2 / S^2.

    Raises:
      ConfigError: unknown name.
    """
    if config.name == "geco":
        elements = 3 * image_size**2
        return geco(
            goal=config.goal * elements,
            step_size=config.step_size * 64**2 / image_size**2,
            initial_beta=config.initial_beta,
            decay=config.decay,
            speedup=config.speedup,
            min_beta=config.min_beta,
        )
    if config.name == "elbo":
        warmup = optax.linear_schedule(0.0, config.beta, config.warmup_steps)
        return scheduled_beta(
            warmup if config.warmup_steps else optax.constant_schedule(config.beta)
        )
    raise ConfigError(f"config.objective.name={config.name!r} is not one of 'geco', 'elbo'.")
