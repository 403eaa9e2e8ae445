"""Compare ways to differentiate through iterative refinement: step time, and how memory grows with the steps.

    python -m experiments.benchmark_refinement

Runs EfficientMORL and IODINE at the sizes published for Multi-dSprites with a batch of two. Prints, for each way, the
temporary memory of the compiled training gradient with 1, 3 and 5 refinement steps, and the time of one gradient with
three steps relative to the way in use. The ways take turns, so that other load on the machine affects all of them
alike.
"""

import functools
import statistics
import time
from collections.abc import Callable
from unittest import mock

import jax
from absl import app, flags

from ocgm.models import efficient_morl, iodine
from ocgm.modules.refinement import loss_with_gradient

_MODEL = flags.DEFINE_multi_enum("model", None, ["efficient_morl", "iodine"], "Default: both.")
_STEPS, _TIMED_STEPS, _ROUNDS = (1, 3, 5), 3, 5
_SIDE, _BATCH = 64, 2
_MODELS = {
    "efficient_morl": efficient_morl.EfficientMORL(num_slots=6, image_size=_SIDE),
    "iodine": iodine.IODINE(
        num_slots=6,
        image_size=_SIDE,
        latent_size=16,
        width=32,
        kernel_size=5,
        encoder_layers=3,
        mlp_sizes=(128,),
        lstm_size=128,
        coordinates="cosine",
        remat=True,
    ),
}


def shared_gradient(function: Callable, x, others) -> tuple:
    """Use one backward pass for the refinement and for the training gradient (what the library did before)."""

    @jax.custom_vjp
    def evaluate(x, others):
        (loss, aux), gradient = jax.value_and_grad(function, has_aux=True)(x, others)
        return loss, aux, gradient

    def forward(x, others):
        differentiate = jax.value_and_grad(function, argnums=(0, 1), has_aux=True)
        (loss, aux), gradients = differentiate(x, others)
        return (loss, aux, gradients[0]), gradients

    def backward(gradients, cotangents):
        return jax.tree.map(lambda gradient: cotangents[0] * gradient, gradients)

    evaluate.defvjp(forward, backward)
    loss, aux, gradient = evaluate(x, others)
    return loss, *jax.lax.stop_gradient((aux, gradient))


def checkpointed(function: Callable, x, others) -> tuple:
    """Keep no activations for the training gradient."""
    return loss_with_gradient(jax.checkpoint(function), x, others)


def unchanged(function: Callable) -> Callable:
    """Keep all activations."""
    return function


# By model: the function of its module that differs, and what to put there (None: leave it as it is).
_WAYS = {
    "efficient_morl": (
        "loss_with_gradient",
        {"plain (in use)": None, "jax.checkpoint": checkpointed, "shared": shared_gradient},
    ),
    "iodine": (
        "recomputed",
        {"recomputed (in use)": None, "plain": unchanged, "jax.checkpoint": jax.checkpoint},
    ),
}


def compile_gradient(name: str, steps: int, replacement: Callable | None, optimized: bool) -> tuple:
    """Return the compiled gradient of a model's loss and its arguments.

    Without LLVM's optimisations compilation is faster, and the program needs the same memory.
    """
    options = {} if optimized else {"xla_backend_optimization_level": 0}
    model = _MODELS[name]
    module = {"efficient_morl": efficient_morl, "iodine": iodine}[name]
    images = jax.random.uniform(jax.random.key(0), (_BATCH, _SIDE, _SIDE, 3))
    streams = {"params": jax.random.key(1), "latent": jax.random.key(2)}
    params = jax.jit(lambda: model.init(streams, images, train=False)["params"])()

    def loss(params, images):
        rngs = {"latent": jax.random.key(3)}
        call = functools.partial(model.apply, {"params": params}, images, train=True, rngs=rngs)
        return call(refinement_steps=steps).loss

    attribute = _WAYS[name][0]
    with mock.patch.object(module, attribute, replacement or getattr(module, attribute)):
        lowered = jax.jit(jax.grad(loss)).lower(params, images)
        return lowered.compile(options), (params, images)


def seconds(compiled: Callable, arguments: tuple) -> float:
    """Return the time of one call."""
    start = time.perf_counter()
    jax.block_until_ready(compiled(*arguments))
    return time.perf_counter() - start


def main(argv: list[str]) -> None:
    del argv
    print(
        f"| model | way | {' | '.join(f'MiB, I = {i}' for i in _STEPS)} | time, I = {_TIMED_STEPS} |"
    )
    print(f"|{'---|' * (3 + len(_STEPS))}")
    for name in _MODEL.value or _WAYS:
        _, ways = _WAYS[name]
        memory, timed = {}, {}
        for way, replacement in ways.items():
            for steps in _STEPS:
                compiled, arguments = compile_gradient(
                    name, steps, replacement, optimized=steps == _TIMED_STEPS
                )
                size = compiled.memory_analysis().temp_size_in_bytes
                memory.setdefault(way, []).append(f"{size / 2**20:.0f}")
                if steps == _TIMED_STEPS:
                    timed[way] = (compiled, arguments)
        times = {way: [] for way in ways}
        for _ in range(_ROUNDS):
            for way, (compiled, arguments) in timed.items():
                times[way].append(seconds(compiled, arguments))
        in_use = times[next(iter(ways))]
        for way, measured in times.items():
            ratio = statistics.median(a / b for a, b in zip(measured, in_use, strict=True))
            print(f"| {name} | {way} | {' | '.join(memory[way])} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    app.run(main)
