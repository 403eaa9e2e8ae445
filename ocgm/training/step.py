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
from ocgm.losses import LossWeights
from ocgm.models.base import Model, Outputs, stream_keys
from ocgm.training import optimizers

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Options = tuple[tuple[str, Any], ...]


class InferenceState(flax.struct.PyTreeNode):
    """The part of a train state that inference needs; arrays only.

    Attributes:
      params: trained parameters.
      model_state: collections that the forward pass updates, such as running statistics.
      loss_weights: weights of the next step's loss, for models that refine their latents by gradients of the loss.
    """

    params: Any
    model_state: dict[str, Any]
    loss_weights: LossWeights

    @property
    def variables(self) -> dict[str, Any]:
        """Variables for `model.apply`."""
        weights = self.loss_weights._asdict()
        return {"params": self.params, "loss_weights": weights, **self.model_state}


class TrainState(InferenceState):
    """Everything that training changes; arrays only.

    Attributes:
      step: number of updates made, int32 scalar.
      opt_state: state of the optimizer, which includes the objective's.
      failed: 1 once a loss or gradient was not finite, else 0, int32 scalar; from then on updates change nothing.
    """

    step: jax.Array
    opt_state: dict[str, optax.OptState]
    failed: jax.Array


def init_state(config: ml_collections.ConfigDict) -> TrainState:
    """Return the state before the first step; to be traced by `jax.eval_shape` or jitted with shardings."""
    variables = _init_variables(models.build(config.model), jax.random.key(config.seed))
    params = variables.pop("params")
    opt_state = optimizers.build(config).init(params)
    return TrainState(
        step=jnp.int32(0),
        params=params,
        model_state=variables,
        loss_weights=opt_state["objective"].loss_weights,
        opt_state=opt_state,
        failed=jnp.int32(0),
    )


def _init_variables(model: Model, key: jax.Array) -> dict[str, Any]:
    params_key, streams_key = jax.random.split(key)
    rngs = {"params": params_key, **stream_keys(streams_key)}
    return model.init(rngs, jnp.zeros((1, model.image_size, model.image_size, 3)), train=False)


def abstract_state(config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh) -> TrainState:
    """Return shapes, dtypes and shardings of the train state; computes and allocates nothing."""
    return _with_shardings(jax.eval_shape(lambda: init_state(config)), mesh)


def abstract_inference_state(model: Model, mesh: jax.sharding.Mesh) -> InferenceState:
    """Return shapes, dtypes and shardings of a model's part of the train state; needs no optimizer.

    `CheckpointStore.restore` takes it to read a model's variables alone.
    """
    variables = dict(jax.eval_shape(lambda: _init_variables(model, jax.random.key(0))))
    weights = jax.eval_shape(lambda: LossWeights(jnp.float32(1.0), jnp.float32(1.0)))
    state = InferenceState(variables.pop("params"), variables, weights)
    return _with_shardings(state, mesh)


def _with_shardings(shapes: Any, mesh: jax.sharding.Mesh) -> Any:
    return jax.tree.map(
        lambda leaf, placement: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placement),
        shapes,
        sharding.state_shardings(mesh, shapes),
    )


def loss_terms(outputs: Outputs, weights: LossWeights) -> tuple[jax.Array, Metrics]:
    """Return the training loss and metrics to log.

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
        "error_weight": weights.error_weight,
    }
    if kl_terms:  # Autoencoders have neither a KL divergence nor a weight of it.
        metrics |= {"kl": kl, "beta": weights.beta}
    if len(kl_terms) > 1:
        metrics |= {f"kl_{name}": value for name, value in kl_terms.items()}
    return loss, metrics


def curriculum_options(config: ml_collections.ConfigDict, step: int) -> Options:
    """Return keyword arguments of the model's call at a step: of each option in config.curriculum the last one due."""
    return tuple(
        {option: value for begin, option, value in config.curriculum if step >= begin}.items()
    )


def make_train_step(
    config: ml_collections.ConfigDict, mesh: jax.sharding.Mesh
) -> Callable[[TrainState, Batch, Options], tuple[TrainState, Metrics]]:
    """Make the jitted (state, batch, options) -> (state, metrics).

    It is compiled once for each value of `options`, the keyword arguments of the model's call. The state is donated.
    Batches hold `image` uint8 [B, S, S, 3], metrics are scalars. Where a loss or gradient is not finite, the state
    stays as it was before the step and `failed` is set.

    Raises:
      ConfigError: unknown optimizer or objective, or impossible settings of one.
    """
    model, optimizer = models.build(config.model), optimizers.build(config)
    state_shardings = jax.tree.map(lambda leaf: leaf.sharding, abstract_state(config, mesh))

    def train_step(state: TrainState, batch: Batch, options: Options):
        images = to_float(batch["image"])
        rngs = stream_keys(jax.random.fold_in(jax.random.key(config.seed), state.step))
        # Whole parameters for the computation, which then is split over the batch alone; gradients
        # go back to where their parameters are. Left to itself, XLA splits convolutions over the
        # channels of their kernels, and on a 4 x 2 mesh got gradients wrong by a factor of four.
        params = jax.lax.with_sharding_constraint(state.params, sharding.replicated(mesh))
        grads, (metrics, model_state) = _gradients(
            model, state.replace(params=params), images, rngs, dict(options)
        )
        grads = jax.lax.with_sharding_constraint(grads, state_shardings.params)
        metrics["gradient_norm"] = optax.tree.norm(grads)
        error = metrics["reconstruction_error"]
        updates, opt_state = optimizer.update(
            grads, state.opt_state, state.params, reconstruction_error=error
        )
        objective = opt_state["objective"]
        if objective.error_average is not None:
            per_element = objective.error_average / images[0].size
            metrics["reconstruction_error_average_per_element"] = per_element
        new_state = TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=model_state,
            loss_weights=objective.loss_weights,
            opt_state=opt_state,
            failed=state.failed,
        )
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["gradient_norm"])
        finite &= state.failed == 0
        new_state = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new_state, state)
        return new_state.replace(failed=jnp.int32(~finite)), metrics

    return jax.jit(
        train_step,
        static_argnums=2,
        donate_argnums=0,
        in_shardings=(state_shardings, sharding.batch_sharding(mesh)),
        out_shardings=(state_shardings, sharding.replicated(mesh)),
    )


def _gradients(model, state, images, rngs, options):
    """Return gradients of the loss with respect to `state.params`, and (metrics, new model_state)."""
    loss_function = make_loss_function(model, state, images, rngs, options)
    return jax.grad(loss_function, has_aux=True)(state.params)


def make_loss_function(model, state: InferenceState, images, rngs, options) -> Callable:
    """Return the function params -> (loss, (metrics, new model_state)) of a training step."""

    def loss_function(params):
        outputs, model_state = model.apply(
            state.replace(params=params).variables,
            images,
            train=True,
            rngs=rngs,
            mutable=list(state.model_state),
            **options,
        )
        loss, metrics = loss_terms(outputs, state.loss_weights)
        return loss, (metrics, model_state)

    return loss_function
