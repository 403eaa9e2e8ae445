"""The registry of models.

Adding a model takes a file in this package and a line in `_MODELS`; the file's class follows `ocgm.models.base.Model`.
"""

import dataclasses
import inspect
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocgm.errors import ConfigError, InputError, check_choice, did_you_mean
from ocgm.models.base import Model, stream_keys
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

_MODELS: dict[str, type] = {
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
NAMES = tuple(_MODELS)
_DTYPES = ("float32", "bfloat16")


def build(config: ml_collections.ConfigDict) -> Model:
    """Build the model that `config` (config.model) describes.

    Args:
      config: `name`, one of `NAMES`, and the model's attributes, with `dtype` as a string.

    Raises:
      ConfigError: the model or a field is unknown, a required field is missing, or a value is impossible.
    """
    settings = dict(config)
    if "name" not in settings:
        raise ConfigError(f"config.model.name is missing; set it to one of {NAMES}.")
    name = settings.pop("name")
    fields = _fields(name)
    if unknown := sorted(settings.keys() - fields.keys()):
        raise ConfigError(
            f"config.model has unknown field(s) {unknown}; {name} takes"
            f" {sorted(fields)}{did_you_mean(unknown[0], fields)}"
        )
    if missing := sorted(set(required_fields(name)) - settings.keys()):
        raise ConfigError(f"config.model lacks the field(s) {missing} that {name} requires.")
    if "dtype" in settings:
        check_choice("config.model.dtype", settings["dtype"], _DTYPES)
        settings["dtype"] = jnp.dtype(settings["dtype"])
    return _MODELS[name](**settings)


def default_config(name: str) -> dict[str, Any]:
    """Return the default values of a model's attributes as plain data, for `config.model`.

    The fields of `required_fields` are left out; a `dtype` is a string.

    Raises:
      ConfigError: the model is unknown.
    """
    config = {k: v for k, v in _fields(name).items() if v is not dataclasses.MISSING}
    if "dtype" in config:
        config["dtype"] = jnp.dtype(config["dtype"]).name
    return config


def required_fields(name: str) -> tuple[str, ...]:
    """Return the fields of a model without a default: `image_size`, and `num_slots` in models with slots.

    Raises:
      ConfigError: the model is unknown.
    """
    fields = _fields(name).items()
    return tuple(field for field, default in fields if default is dataclasses.MISSING)


def name_of(model: Model) -> str:
    """Return the name of a model in the registry."""
    return {kind: name for name, kind in _MODELS.items()}[type(model)]


def check_options(model: Model, options: Iterable[str] | Mapping[str, Any]) -> None:
    """Check the keyword arguments of a model's call, such as `num_slots` or `dynamic_slots`.

    Args:
      model: the model.
      options: their names, or their values by name.

    Raises:
      InputError: the model has no such option, or a value is of another type or negative.
    """
    parameters = inspect.signature(type(model).__call__).parameters
    known = list(parameters)[2:]  # without self and images
    if unknown := sorted(set(options) - set(known)):
        raise InputError(
            f"option(s) {', '.join(unknown)} do not exist for {name_of(model)}; it takes"
            f" {', '.join(known)}{did_you_mean(unknown[0], known)}"
        )
    for name, value in options.items() if isinstance(options, Mapping) else ():
        annotation = parameters[name].annotation
        types = typing.get_args(annotation) or (annotation,)
        if int in types:
            types = (*types, np.integer)
        # Python counts True as a number.
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wanted = "True or False" if bool in types else "a whole number"
            raise InputError(f"option {name}={value!r} of {name_of(model)} must be {wanted}.")
        if isinstance(value, int | np.integer) and value < 0:
            raise InputError(f"option {name}={value} of {name_of(model)} must not be negative.")


def abstract_variables(model: Model) -> dict[str, Any]:
    """Return shapes and dtypes of all variables of a model, without computing or allocating anything."""
    side = model.image_size
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    key = jax.random.key(0)
    keys = {"params": key, **stream_keys(key)}
    return jax.eval_shape(lambda images: model.init(keys, images, train=True), images)


def _fields(name: str) -> dict[str, Any]:
    """Return the attributes of a model and their defaults, `dataclasses.MISSING` where there is none."""
    check_choice("config.model.name", name, NAMES)
    fields = dataclasses.fields(_MODELS[name])
    return {f.name: f.default for f in fields if f.name not in ("parent", "name")}
