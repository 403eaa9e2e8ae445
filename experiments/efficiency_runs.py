"""What the efficiency study times: models, their programs, and how results are shown (`experiments.efficiency`)."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from configs import common
from ocgm import models
from ocgm.errors import ConfigError, UserError
from ocgm.models import abstract_variables
from ocgm.training.objectives import LossWeights
from ocgm.training.step import loss_terms, stream_keys

# K = 7, as in the paper's comparison.
_DATASET = "clevr_with_masks"
FORWARD, TRAINING = "forward", "forward and backward"
BASELINE = "EfficientMORL, I = 1"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model with the options of its call.

    Attributes:
      title: what the tables call it.
      config: config.model, but for the side of the images.
      options: keyword arguments of the model's call.
    """

    title: str
    config: ConfigDict
    options: dict[str, Any] = dataclasses.field(default_factory=dict)

    def build(self, side: int) -> nn.Module:
        """The model for images of one side.

        Raises:
          ConfigError: it cannot have this side.
        """
        model = models.build(ConfigDict(self.config.to_dict() | {"image_size": side}))
        abstract_variables(model)  # Some sides are refused by a part of the model.
        return model


def _efficient_morl(steps: list[int]) -> list[Variant]:
    config = common.efficient_morl_clevr6().model
    return [
        Variant(f"EfficientMORL, I = {count}", config, {"refinement_steps": count})
        for count in steps
    ]


def _iodine(title: str, remat: bool) -> list[Variant]:
    config = common.iodine(_DATASET).model
    config.remat = remat
    return [Variant(title, config)]


# Variants of each model, given EfficientMORL's numbers of refinement steps.
_VARIANTS: dict[str, Callable[[list[int]], list[Variant]]] = {
    "efficient_morl": _efficient_morl,
    "iodine": lambda _: _iodine("IODINE", remat=False),
    "iodine_remat": lambda _: _iodine("IODINE, remat", remat=True),
    "genesis": lambda _: [Variant("GENESIS", common.genesis(_DATASET).model)],
    "slot_attention": lambda _: [Variant("Slot Attention", common.slot_attention(_DATASET).model)],
}
MODELS = tuple(_VARIANTS)


def select_variants(names: Iterable[str], steps: list[int]) -> list[Variant]:
    """The variants of models of `MODELS`.

    Raises:
      UserError: a model is unknown.
    """
    names = list(names)
    if unknown := [name for name in names if name not in _VARIANTS]:
        raise UserError(f"--models: {', '.join(unknown)} is not one of {', '.join(MODELS)}.")
    return [variant for name in names for variant in _VARIANTS[name](steps)]


def whole_numbers(flag: str, values: Iterable[str], least: int) -> list[int]:
    """The numbers that a flag lists, each once.

    Raises:
      UserError: there is none, or one is not a whole number of at least `least`.
    """
    values = list(values)
    if not values or not all(value.isdecimal() and int(value) >= least for value in values):
        raise UserError(
            f"--{flag}={','.join(values)} must be whole numbers of at least {least}, by comma."
        )
    return list(dict.fromkeys(map(int, values)))


# ---- programs


@dataclasses.dataclass(frozen=True)
class Case:
    """A variant at one side, or why there is none: `model` is None then, and `refusal` says it."""

    variant: Variant
    side: int
    model: nn.Module | None = None
    refusal: str = ""

    @property
    def name(self) -> str:
        return f"{self.variant.title}, {self.side} px"


def all_cases(variants: list[Variant], sides: list[int]) -> list[Case]:
    """Every variant at every side, side by side; those that a model cannot have say so.

    Raises:
      UserError: a side fits none of the models.
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
    """Fresh variables; variants that only differ in options share them."""
    rngs = {"params": jax.random.key(0), **stream_keys(jax.random.key(1))}
    images = jax.numpy.zeros((1, model.image_size, model.image_size, 3))
    return jax.jit(functools.partial(model.init, train=False))(rngs, images)


def compile_program(case: Case, kind: str, batch_size: int) -> jax.stages.Compiled:
    """Compiled (variables, images, key) -> outputs of evaluation, or gradient of the training loss; runs nothing.

    Args:
      case: one that has a model.
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
    """Bytes that XLA plans for a program: of temporaries, and together with arguments and results."""
    plan = program.memory_analysis()
    temporary = plan.temp_size_in_bytes
    total = temporary + plan.argument_size_in_bytes + plan.output_size_in_bytes
    return {"temporary": temporary, "total": total}


def largest_batch(
    bytes_of: Callable[[int], int], probes: tuple[int, int], limit: float, verify: bool
) -> int:
    """The largest batch whose program needs at most `limit` bytes; 0 where one image does not fit.

    Args:
      bytes_of: bytes of the program for a batch, which grow with the batch.
      probes: two batches through whose bytes a line is drawn.
      limit: bytes.
      verify: do not trust the line: look at the batch that it gives and at the next one, and search from there, with
        steps that double and then halve, where these say otherwise.
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
    """Wall times of each call, results waited for: all in turn, `repeats` times, after a turn that is not counted.

    So a drift of the machine hits all alike.
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
    """First quartile, median and third quartile."""
    if len(seconds) == 1:
        return (seconds[0],) * 3
    return tuple(statistics.quantiles(seconds, method="inclusive"))


# ---- results


@dataclasses.dataclass(frozen=True)
class Result:
    """What was found of one variant at one side.

    Attributes:
      title: of the variant.
      side: of the images.
      refusal: why there is nothing else; "" where there is.
      parameters: number of them.
      seconds: quartiles by `FORWARD` and `TRAINING`.
      memory: `memory_of` the program of `TRAINING`.
      largest_batch: for the memory asked for; None where that was not looked for.
    """

    title: str
    side: int
    refusal: str = ""
    parameters: int = 0
    seconds: dict[str, tuple[float, float, float]] = dataclasses.field(default_factory=dict)
    memory: dict[str, int] = dataclasses.field(default_factory=dict)
    largest_batch: int | None = None


def ratios(results: list[Result], kind: str) -> dict[tuple[str, int], float]:
    """Medians of one kind over that of `BASELINE` at the same side, by title and side; none where that is missing."""
    medians = {(r.title, r.side): r.seconds[kind][1] for r in results if r.seconds}
    return {
        (title, side): median / medians[BASELINE, side]
        for (title, side), median in medians.items()
        if (BASELINE, side) in medians
    }


def table(results: list[Result]) -> str:
    """Markdown: a row for each variant and side; below it, why a model cannot have a side."""
    with_batches = any(result.largest_batch is not None for result in results)
    columns = ["Model", "side", "parameters"]
    for kind in (FORWARD, TRAINING):
        columns += [f"{kind}, ms", f"to {BASELINE}"]
    columns += ["temporaries, MiB", *(["largest batch"] if with_batches else [])]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    relative = {kind: ratios(results, kind) for kind in (FORWARD, TRAINING)}
    for result in results:
        cells = [result.title, str(result.side)]
        if result.refusal:
            cells += ["cannot have this side", *[""] * (len(columns) - 3)]
        else:
            cells.append(f"{result.parameters:,}")
            for kind, of_kind in relative.items():
                low, median, high = (1e3 * seconds for seconds in result.seconds[kind])
                ratio = of_kind.get((result.title, result.side))
                cells.append(f"{median:,.1f} ({low:,.1f} to {high:,.1f})")
                cells.append("" if ratio is None else f"{ratio:.2f}")
            cells.append(f"{result.memory['temporary'] / 2**20:,.0f}")
            if with_batches:
                cells.append(str(result.largest_batch))
        lines.append(f"| {' | '.join(cells)} |")
    refusals = [f"{r.title}, {r.side} px: {r.refusal}" for r in results if r.refusal]
    return "\n".join([*lines, *([""] if refusals else []), *refusals]) + "\n"


def draw(results: list[Result]):
    """Bars of both times and of the temporaries, in groups of one side."""
    from matplotlib.figure import Figure

    measured = [result for result in results if not result.refusal]
    sides = list(dict.fromkeys(result.side for result in measured))
    titles = list(dict.fromkeys(result.title for result in measured))
    panels = {
        f"{FORWARD}, ms": lambda result: 1e3 * result.seconds[FORWARD][1],
        f"{TRAINING}, ms": lambda result: 1e3 * result.seconds[TRAINING][1],
        f"temporaries of {TRAINING}, MiB": lambda result: result.memory["temporary"] / 2**20,
    }
    figure = Figure(figsize=(14, 4), layout="constrained")
    width = 0.8 / len(titles)
    for axis, (panel, value) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for i, title in enumerate(titles):
            own = [result for result in measured if result.title == title]
            places = [sides.index(r.side) + (i - (len(titles) - 1) / 2) * width for r in own]
            axis.bar(places, [value(result) for result in own], width, label=title)
        axis.set_xticks(range(len(sides)), [f"{side} px" for side in sides])
        axis.set_title(panel, fontsize="medium")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=len(titles))
    return figure
