"""The legal range of every number in a config, in one table, and the check of a config against it."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import ml_collections
from flax.traverse_util import flatten_dict

from ocgm import models
from ocgm.errors import ConfigError


class _Range(NamedTuple):
    """Numbers from `least` to `most`; where a bound is open, not the bound itself."""

    least: float = -math.inf
    most: float = math.inf
    open_least: bool = False
    open_most: bool = False
    whole: bool = False

    def __contains__(self, value: object) -> bool:
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not math.isfinite(value)
        ):
            return False
        if self.whole and value != int(value):
            return False
        above = value > self.least if self.open_least else value >= self.least
        below = value < self.most if self.open_most else value <= self.most
        return above and below

    def __str__(self) -> str:
        bounds = []
        if self.least > -math.inf:
            bounds.append(f"{'above' if self.open_least else 'at least'} {self.least:,}")
        if self.most < math.inf:
            bounds.append(f"{'below' if self.open_most else 'at most'} {self.most:,}")
        kind = "a whole number" if self.whole else "a finite number"
        return ", ".join([kind, *([" and ".join(bounds)] if bounds else [])])


_REAL, _POSITIVE, _NOT_NEGATIVE = _Range(), _Range(0, open_least=True), _Range(0)
_COUNT, _COUNT_OR_0 = _Range(1, whole=True), _Range(0, whole=True)
_INT32 = _Range(0, 2**31 - 1, whole=True)  # counted or used as a key on the devices

# By field; in tuples it is the range of every number. A model's name before the field is the range of that model alone.
# 0 means "off", "none" or "by default" where it is legal among counts.
RANGES: dict[str, _Range] = {
    "seed": _INT32,
    "batch_size": _COUNT,
    "num_train_steps": _Range(1, 2**31 - 1, whole=True),
    "max_train_minutes": _NOT_NEGATIVE,
    "log_every_steps": _COUNT_OR_0,
    "checkpoint.every_steps": _COUNT_OR_0,
    "checkpoint.keep": _COUNT,
    "checkpoint.keep_every_steps": _COUNT_OR_0,
    "evaluation.every_steps": _COUNT_OR_0,
    "evaluation.num_images": _COUNT,
    "evaluation.batch_size": _COUNT,
    "evaluation.num_figure_images": _COUNT,
    "mesh.data": _Range(-1, whole=True),
    "mesh.fsdp": _COUNT,
    "data.image_size": _Range(1, 1024, whole=True),
    "data.num_examples": _COUNT,
    "optimizer.learning_rate": _NOT_NEGATIVE,
    "optimizer.b1": _Range(0, 1, open_most=True),
    "optimizer.warmup_steps": _INT32,
    "optimizer.decay_steps": _INT32,
    "optimizer.decay_begin": _INT32,
    "optimizer.decay_rate": _POSITIVE,
    "optimizer.clip_norm": _NOT_NEGATIVE,
    "objective.goal": _REAL,
    "objective.step_size": _NOT_NEGATIVE,
    "objective.initial_beta": _POSITIVE,
    "objective.initial_multiplier": _REAL,
    "objective.decay": _Range(0, 1),
    "objective.speedup": _POSITIVE,
    "objective.min_beta": _POSITIVE,
    "objective.warm_start": _INT32,
    "objective.beta": _NOT_NEGATIVE,
    "objective.betas": _NOT_NEGATIVE,
    "objective.warmup_steps": _INT32,
    "model.image_size": _Range(1, 1024, whole=True),
    "model.num_slots": _Range(2, whole=True),
    "model.latent_size": _COUNT,
    "genesis_v2.latent_size": _COUNT_OR_0,
    "model.mask_latent_size": _COUNT,
    "model.component_latent_size": _COUNT,
    "model.component_features": _COUNT,
    "model.attention_features": _COUNT,
    "model.feature_dim": _Range(8, 64, whole=True),
    "model.component_sigma": _POSITIVE,
    "model.background_sigma": _POSITIVE,
    "model.pixel_scale": _POSITIVE,
    "model.initial_kernel_sigma": _NOT_NEGATIVE,
    "model.decoder_features": _COUNT_OR_0,
    "genesis_s.decoder_features": _COUNT,
    "model.decoder_grid": _COUNT_OR_0,
    "model.decoder_output_stride": _Range(1, 2, whole=True),
    "model.encoder_features": _COUNT,
    "model.encoder_strides": _COUNT,
    "model.feature_size": _COUNT_OR_0,
    "model.colour_offset": _REAL,
    "model.iterations": _COUNT,
    "model.hidden_size": _COUNT,
    "model.hidden_sizes": _COUNT,
    "model.stochastic_layers": _COUNT_OR_0,
    "model.refinement_steps": _COUNT_OR_0,
    "iodine.refinement_steps": _COUNT,
    "model.train_gradient_batch": _COUNT_OR_0,
    "model.eval_gradient_batch": _COUNT_OR_0,
    "model.width": _COUNT,
    "model.kernel_size": _COUNT,
    "model.encoder_layers": _COUNT,
    "model.mlp_sizes": _COUNT,
    "model.lstm_size": _COUNT_OR_0,
}


def check(config: ml_collections.ConfigDict) -> None:
    """Check that every number of an experiment's config is in its range; other values are left to those who read them.

    Raises:
      ConfigError: one line for each field that is not.
    """
    problems = [
        f"config.{field}={value!r} must be {legal}."
        for field, value in numbers(config)
        if (legal := range_of(config.model.get("name", ""), field)) and value not in legal
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def range_of(model: str, field: str) -> _Range | None:
    """Return the range of a field for a model, None for a field that is not ocgm's."""
    part, _, name = field.rpartition(".")
    if part == "curriculum":
        return _INT32 if name == "step" else _option_range(model, name)
    if part == "evaluation.model_options":
        return _option_range(model, name)
    if part == "model" and model not in models.NAMES:
        return None  # An unknown name is an error of its own.
    return RANGES.get(f"{model}.{name}" if part == "model" else field, RANGES.get(field))


def _option_range(model: str, name: str) -> _Range | None:
    """Return the range of an option of a model's call, which is that of the field it replaces."""
    return _COUNT_OR_0 if name == "num_slots" else range_of(model, f"model.{name}")


def numbers(config: ml_collections.ConfigDict) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of every number, those of tuples one by one."""
    for field, value in flatten_dict(config.to_dict(), sep=".").items():
        if field == "curriculum":
            for begin, option, setting in value:
                yield from [("curriculum.step", begin), *_number(f"curriculum.{option}", setting)]
        else:
            yield from _number(field, value)


def _number(field: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple | list):
        for element in value:
            yield from _number(field, element)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield field, value
