"""The train state and the jitted step; both know models and objectives only by their contracts."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import ml_collections
import optax

from ocgm import models, sharding
from ocgm.images import to_float
from ocgm.models.base import Outputs, stream_keys
from ocgm.training import objectives, optimizers


@flax.struct.dataclass
class TrainState:
    """Everything that training changes; arrays only.

    Attributes:
      step: number of updates made, int32 scalar.
      params: trained parameters.
      model_state: collections that the forward pass updates, such as running statistics.
      opt_state: optimiser state, which holds the objective's beta.
      failed: whether a loss or gradient was not finite; from then on updates leave the state alone.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: optax.OptState
    failed: jax.Array


def init_state(config: ml_collections.ConfigDict) -> TrainState:
    """A fresh state from config and its seed; to be traced by `jax.eval_shape` or jitted with shardings."""
    model = models.build(config.model)
    params_key, streams_key = jax.random.split(jax.random.key(config.seed))
    side = config.model.image_size
    variables = model.init(
        {"params": params_key, **stream_keys(streams_key)},
        jnp.zeros((1, side, side, 3)),
        train=False,
    )
    params = variables.pop("params")
    opt_state = optimizers.build(config).init(params)
    return TrainState(
        step=jnp.int32(0),
        params=params,
        model_state=objectives.with_weights(variables, opt_state),
        opt_state=opt_state,
        failed=jnp.int32(0),
    )


def abstract_state(config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh) -> TrainState:
    """Shapes, dtypes and shardings of the state; computes and allocates nothing."""
    shapes = jax.eval_shape(lambda: init_state(config))
    return jax.tree.map(
        lambda leaf, placement: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placement),
        shapes,
        sharding.state_shardings(mesh, shapes),
    )


def loss_terms(
    outputs: Outputs, weights: objectives.LossWeights
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Training loss and what to log.

    The loss is error_weight * mean(reconstruction_error) + beta * KL, with KL terms summed over slots, or the model's.
    """
    error = jnp.mean(outputs.reconstruction_error)
    kl_terms = {name: jnp.sum(jnp.mean(term, axis=0)) for name, term in outputs.kl.items()}
    kl = sum(kl_terms.values(), start=jnp.float32(0.0))
    loss = outputs.loss
    if loss is None:
        loss = weights.error_weight * error + weights.beta * kl
    metrics = {
        "loss": loss,
        "reconstruction_error": error,
        "reconstruction_error_per_element": error / outputs.reconstruction[0].size,
        "kl": kl,
        **weights._asdict(),
    }
    if len(kl_terms) > 1:
        metrics |= {f"kl_{name}": value for name, value in kl_terms.items()}
    return loss, metrics


Options = tuple[tuple[str, Any], ...]


def curriculum_options(config: ml_collections.ConfigDict, step: int) -> Options:
    """Keyword arguments of the model's call at a step: of each option in config.curriculum the last value due."""
    return tuple(
        {option: value for begin, option, value in config.curriculum if step >= begin}.items()
    )


def make_train_step(
    config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh, options: Options = ()
) -> Callable[[TrainState, dict[str, jax.Array]], tuple[TrainState, dict[str, jax.Array]]]:
    """Jitted (state, batch) -> (state, metrics) with `options` for the model's call; the state is donated.

    Batches hold `image` uint8 [B, S, S, 3], metrics are scalars. Where a loss or gradient is not finite the state stays
    as it was before the step and `failed` is set.
    """
    model, optimizer = models.build(config.model), optimizers.build(config)
    state_shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_state(config, mesh))

    def train_step(state: TrainState, batch: dict[str, jax.Array]):
        rngs = stream_keys(jax.random.fold_in(jax.random.key(config.seed), state.step))
        images = to_float(batch["image"])
        weights = objectives.current_weights(state.opt_state)

        def loss_function(params):
            outputs, model_state = model.apply(
                {"params": params, **state.model_state},
                images,
                train=True,
                rngs=rngs,
                mutable=list(state.model_state),
                **dict(options),
            )
            loss, metrics = loss_terms(outputs, weights)
            return loss, (metrics, model_state)

        # Whole parameters for the computation, which then is split over the batch alone; gradients
        # go back to where their parameters are. Left to itself, XLA splits convolutions over the
        # channels of their kernels, and on a 4 x 2 mesh got gradients wrong by a factor of four.
        params = jax.lax.with_sharding_constraint(state.params, sharding.replicated(mesh))
        grads, (metrics, model_state) = jax.grad(loss_function, has_aux=True)(params)
        grads = jax.lax.with_sharding_constraint(grads, state_shardings.params)
        metrics["gradient_norm"] = optax.tree.norm(grads)
        updates, opt_state = optimizer.update(
            grads,
            state.opt_state,
            state.params,
            reconstruction_error=metrics["reconstruction_error"],
        )
        if (average := objectives.error_average(opt_state)) is not None:
            metrics["reconstruction_error_average_per_element"] = average / images[0].size
        new_state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=objectives.with_weights(model_state, opt_state),
            opt_state=opt_state,
            failed=state.failed,
        )
        sound = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["gradient_norm"])
        sound &= state.failed == 0
        new_state = jax.tree.map(lambda new, old: jnp.where(sound, new, old), new_state, state)
        return new_state.replace(failed=jnp.int32(~sound)), metrics

    return jax.jit(
        train_step,
        donate_argnums=0,
        in_shardings=(state_shardings, sharding.batch_sharding(mesh)),
        out_shardings=(state_shardings, sharding.replicated(mesh)),
    )
