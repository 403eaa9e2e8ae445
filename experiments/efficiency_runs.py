"""Models and compiled programs of the efficiency study, with their times and memory (`experiments.efficiency`)."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from ocgm import experiment, models
from ocgm.errors import ConfigError, UserError, did_you_mean
from ocgm.losses import LossWeights
from ocgm.models import abstract_variables
from ocgm.models.base import stream_keys
from ocgm.training.step import loss_terms

FORWARD, TRAINING = "forward", "forward and backward"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model with options of its call.

    Attributes:
      title: name in the tables.
      config: config.model, except the image side.
      options: keyword arguments of the model's call.
    """

    title: str
    config: ConfigDict
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, side: int) -> nn.Module:
        """Return the model for images of one side.

        Raises:
          ConfigError: the model does not support this side.
        """
        model = models.build(ConfigDict(self.config.to_dict() | {"image_size": side}))
        abstract_variables(model)  # Parts of a model check the side when they are built.
        return model


def _efficient_morl(steps: list[int]) -> list[Variant]:
    config = experiment.load_config("efficient_morl_clevr6").model
    return [
        Variant(f"EfficientMORL, I = {count}", config, {"refinement_steps": count})
        for count in steps
    ]


def _iodine(title: str, remat: bool) -> list[Variant]:
    config = experiment.load_config("iodine_clevr6").model
    config.remat = remat
    return [Variant(title, config)]


def _genesis(_: list[int]) -> list[Variant]:
    return [Variant("GENESIS", experiment.default_config("genesis", "clevr_with_masks").model)]


def _slot_attention(_: list[int]) -> list[Variant]:
    return [Variant("Slot Attention", experiment.load_config("slot_attention_clevr6").model)]


# Variants of each model, given EfficientMORL's numbers of refinement steps.
_VARIANTS: dict[str, Callable[[list[int]], list[Variant]]] = {
    "efficient_morl": _efficient_morl,
    "iodine": lambda _: _iodine("IODINE", remat=False),
    "iodine_remat": lambda _: _iodine("IODINE, remat", remat=True),
    "genesis": _genesis,
    "slot_attention": _slot_attention,
}
MODELS = tuple(_VARIANTS)


def select_variants(names: Iterable[str], steps: list[int]) -> list[Variant]:
    """Return the variants of some of `MODELS`.

    Raises:
      UserError: a model is unknown.
    """
    names = list(names)
    if unknown := [name for name in names if name not in _VARIANTS]:
        near = did_you_mean(unknown[0], MODELS)
        raise UserError(f"--models: {', '.join(unknown)} is not one of {', '.join(MODELS)}{near}")
    return [variant for name in names for variant in _VARIANTS[name](steps)]


def whole_numbers(flag: str, values: Iterable[str], least: int) -> list[int]:
    """Return the distinct numbers in the list of a flag.

    Raises:
      UserError: the list is empty, or a number is not whole or less than `least`.
    """
    values = list(values)
    if not values or not all(value.isdecimal() and int(value) >= least for value in values):
        raise UserError(
            f"--{flag}={','.join(values)} must be whole numbers of at least {least}, comma-separated."
        )
    return list(dict.fromkeys(map(int, values)))


# ---- programs


@dataclasses.dataclass(frozen=True)
class Case:
    """A variant at one image side; where the model does not support it, `model` is None and `refusal` is the error."""

    variant: Variant
    side: int
    model: nn.Module | None = None
    refusal: str = ""

    @property
    def name(self) -> str:
        """Return the name of this case among all."""
        return f"{self.variant.title}, {self.side} px"


def all_cases(variants: list[Variant], sides: list[int]) -> list[Case]:
    """Return every variant at every side.

    Raises:
      UserError: no model supports one of the sides.
    """
    cases = []
    for side in sides:
        at_side = []
        for variant in variants:
            try:
                at_side.append(Case(variant, side, variant.build(side)))
            except ConfigError as error:
                at_side.append(Case(variant, side, refusal=str(error)))
        if not any(case.model for case in at_side):
            raise UserError(f"--sides: no model takes {side}. {at_side[0].refusal}")
        cases += at_side
    return cases


@functools.cache
def init_variables(model: nn.Module) -> dict[str, Any]:
    """Return initial variables; variants that differ only in options share them."""
    rngs = {"params": jax.random.key(0), **stream_keys(jax.random.key(1))}
    images = jax.numpy.zeros((1, model.image_size, model.image_size, 3))
    return jax.jit(functools.partial(model.init, train=False))(rngs, images)


def compile_program(case: Case, kind: str, batch_size: int) -> jax.stages.Compiled:
    """Compile (variables, images, key) -> outputs of evaluation, or gradient of the training loss.

    Args:
      case: a case with a model.
      kind: `FORWARD` or `TRAINING`.
      batch_size: number of images.
    """

    def apply(variables, images, key, **settings):
        options = case.variant.options | settings
        return case.model.apply(variables, images, rngs=stream_keys(key), **options)

    def forward(variables, images, key):
        return apply(variables, images, key, train=False)

    def gradient(variables, images, key):
        state = {name: value for name, value in variables.items() if name != "params"}

        def loss(params):
            variables = {"params": params, **state}
            outputs, _ = apply(variables, images, key, train=True, mutable=list(state))
            return loss_terms(outputs, LossWeights(1.0, 1.0))[0]

        return jax.grad(loss)(variables["params"])

    function = {FORWARD: forward, TRAINING: gradient}[kind]
    images = jax.ShapeDtypeStruct((batch_size, case.side, case.side, 3), "float32")
    key = jax.eval_shape(lambda: jax.random.key(0))
    return jax.jit(function).lower(abstract_variables(case.model), images, key).compile()


# ---- memory


def memory_of(program: jax.stages.Compiled) -> dict[str, int]:
    """Return the bytes that XLA plans for a program: temporaries alone, and with arguments and results."""
    plan = program.memory_analysis()
    temporary = plan.temp_size_in_bytes
    total = temporary + plan.argument_size_in_bytes + plan.output_size_in_bytes
    return {"temporary": temporary, "total": total}


def largest_batch(
    bytes_of: Callable[[int], int], probes: tuple[int, int], limit: float, verify: bool
) -> int:
    """Return the largest batch whose program needs at most `limit` bytes; 0 if one image does not fit.

    Args:
      bytes_of: bytes of the program as a function of the batch, increasing.
      probes: two batches from which to extrapolate linearly.
      limit: bytes.
      verify: compute the bytes of the extrapolated batch and of the next one and, where these contradict it, search
        from there in steps that double and then halve.
    """
    first, second = probes
    at_first = bytes_of(first)
    slope = (bytes_of(second) - at_first) / (second - first)
    guess = max(0, int(first + (limit - at_first) // slope))
    if not verify:
        return guess
    fits, too_large, step = guess, guess + 1, 1
    while fits and bytes_of(fits) > limit:
        fits, too_large, step = max(0, fits - step), fits, 2 * step
    while bytes_of(too_large) <= limit:
        fits, too_large, step = too_large, too_large + step, 2 * step
    while too_large - fits > 1:
        middle = (fits + too_large) // 2
        fits, too_large = (middle, too_large) if bytes_of(middle) <= limit else (fits, middle)
    return fits


# ---- time


def interleaved_seconds(
    calls: dict[Any, Callable[[], object]], repeats: int
) -> dict[Any, list[float]]:
    """Return wall times in seconds of each call: all calls in turn, `repeats` times, after one warm-up turn.

    Taking turns spreads a drift of the machine over all calls.
    """
    for call in calls.values():
        jax.block_until_ready(call())
    times = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(time.perf_counter() - start)
    return times


def quartiles(seconds: list[float]) -> tuple[float, float, float]:
    """Return the first quartile, median and third quartile."""
    if len(seconds) == 1:
        return (seconds[0],) * 3
    return tuple(statistics.quantiles(seconds, method="inclusive"))
