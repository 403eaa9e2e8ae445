"""Models by name. Adding one is a file, a line here and a config."""

import dataclasses
import inspect
from collections.abc import Iterable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import ml_collections

from ocgm.errors import ConfigError, InputError
from ocgm.models.efficient_morl import EfficientMORL
from ocgm.models.genesis import Genesis
from ocgm.models.genesis_s import GenesisS
from ocgm.models.genesis_v2 import GenesisV2
from ocgm.models.image_vae import ImageVAE
from ocgm.models.iodine import IODINE
from ocgm.models.monet import MONet
from ocgm.models.one_slot_vae import OneSlotVAE
from ocgm.models.slot_attention import SlotAttention
from ocgm.models.slot_mlp import SlotMLP

_MODELS = {
    "efficient_morl": EfficientMORL,
    "genesis": Genesis,
    "genesis_s": GenesisS,
    "genesis_v2": GenesisV2,
    "image_vae": ImageVAE,
    "iodine": IODINE,
    "monet": MONet,
    "one_slot_vae": OneSlotVAE,
    "slot_attention": SlotAttention,
    "slot_mlp": SlotMLP,
}
_DTYPES = ("float32", "bfloat16")


def build(config: ml_collections.ConfigDict) -> nn.Module:
    """The model that `config` (config.model) describes: `name` and the model's attributes.

    Raises:
      ConfigError: unknown model or field, or impossible values.
    """
    settings = dict(config)
    name = settings.pop("name")
    known = {field.name for field in _fields(name)}
    if unknown := sorted(set(settings) - known):
        raise ConfigError(
            f"config.model has unknown field(s) {unknown}; {name} takes {sorted(known)}."
        )
    if "dtype" in settings:
        if settings["dtype"] not in _DTYPES:
            raise ConfigError(f"config.model.dtype={settings['dtype']!r} is not one of {_DTYPES}.")
        settings["dtype"] = jnp.dtype(settings["dtype"])
    return _MODELS[name](**settings)


def default_config(name: str) -> dict[str, Any]:
    """Return the defaults of a model's fields as plain data, without the fields of `required_fields`.

    Args:
      name: value of `config.model.name`.

    Raises:
      ConfigError: there is no model of this name.
    """
    fields = {field.name: field.default for field in _fields(name)}
    defaults = {key: value for key, value in fields.items() if value is not dataclasses.MISSING}
    return {**defaults, "dtype": jnp.dtype(defaults["dtype"]).name}


def required_fields(name: str) -> tuple[str, ...]:
    """Return the fields of a model without a default: `image_size`, and `num_slots` of models with slots."""
    return tuple(field.name for field in _fields(name) if field.default is dataclasses.MISSING)


def _fields(name: str) -> list[dataclasses.Field]:
    """Return the fields that a config sets."""
    if name not in _MODELS:
        raise ConfigError(f"config.model.name={name!r} is not one of {sorted(_MODELS)}.")
    fields = dataclasses.fields(_MODELS[name])
    return [field for field in fields if field.name not in ("parent", "name")]


def check_options(model: nn.Module, options: Iterable[str]) -> None:
    """Check the keyword arguments of a model's call, such as `num_slots` or `dynamic_slots`.

    Raises:
      InputError: the model has no such option.
    """
    known = list(inspect.signature(type(model).__call__).parameters)[2:]  # without self and images
    if unknown := sorted(set(options) - set(known)):
        names = {kind: name for name, kind in _MODELS.items()}
        raise InputError(
            f"option(s) {', '.join(unknown)} do not exist for {names[type(model)]}; it takes"
            f" {', '.join(known)}."
        )
