"""Trained models from disk, ready to use; what the commands and notebooks build on."""

import dataclasses
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from ocgm import models, run_dir, sharding
from ocgm.data import registry
from ocgm.errors import CheckpointError, InputError, did_you_mean
from ocgm.files import as_path, unpacked_bytes, write_atomically
from ocgm.images import crop_and_resize, to_float
from ocgm.models import calls
from ocgm.models.base import Model, Outputs, Sample
from ocgm.training.checkpoint import CheckpointStore
from ocgm.training.step import abstract_inference_state

_PRETRAINED = pathlib.Path(__file__).parent / "pretrained"
_EXPORT = "variables.npz"
_CARD = "model_card.json"
_EXPORT_AGAIN = "Export the run again with `ocgm export`."
_MOST_LINES = 5  # of what does not fit


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What is known about a trained model that ships with the package.

    Attributes:
      name: MODEL/DATASET, as `load` takes it.
      dataset: name of the dataset that it was trained on.
      variant: variant of the dataset; empty for its default.
      image_size: side of the images in pixels.
      steps: number of training steps.
      scores: metrics on the first 320 test images.
      description: how it was trained and evaluated.
    """

    name: str
    dataset: str
    variant: str
    image_size: int
    steps: int
    scores: Mapping[str, float]
    description: str


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A model with its weights.

    Attributes:
      config: the experiment that trained it.
      model: the Flax module.
      variables: its variables.
      step: number of updates that made them.
    """

    config: ml_collections.ConfigDict
    model: Model
    variables: dict[str, Any]
    step: int

    def __call__(
        self,
        images: np.ndarray | Sequence[np.ndarray],
        seed: int = 0,
        *,
        resize: bool = False,
        **options: Any,
    ) -> Outputs:
        """Infer slots and reconstruct.

        Args:
          images: [B, S, S, 3], uint8, or float in [0, 1].
          seed: seed of the latents and the seed scores.
          resize: take images of any size, [B, H, W, 3] or a sequence of [H, W, 3] of several sizes, and crop their
            central squares and resize them to the model's side, as `ocgm segment` does.
          **options: keyword arguments of the model's call, such as `num_slots`, `dynamic_slots`, `deterministic`;
            by default those of config.evaluation.model_options.

        Raises:
          InputError: wrong rank, channels, size, dtype or range, or an option that the model does not have.
        """
        side = self.config.model.image_size
        checked = check_images(_resize(images, side) if resize else images, side)
        static = calls.static_options(self.options(options))
        return calls.infer(self.model, self.variables, checked, jax.random.key(seed), static)

    def in_batches(
        self, images: np.ndarray, batch_size: int, seed: int = 0, **options: Any
    ) -> Outputs:
        """Infer slots of any number of images, in batches of one shape.

        Args:
          images: [N, S, S, 3], uint8, or float in [0, 1].
          batch_size: number of images per batch.
          seed: seed of the first batch.
          **options: keyword arguments of the model's call.

        Returns:
          Outputs for all images, as host arrays.
        """
        padding = np.zeros((-len(images) % batch_size, *images.shape[1:]), images.dtype)
        padded = np.concatenate([images, padding])
        parts = [
            jax.device_get(self(padded[i : i + batch_size], seed + i, **options))
            for i in range(0, len(padded), batch_size)
        ]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(images)], *parts)

    def sample(self, batch_size: int, seed: int = 0, num_slots: int = 0) -> Sample:
        """Draw scenes from the prior, with another number of slots if `num_slots` is not 0."""
        key = jax.random.key(seed)
        return calls.sample(self.model, self.variables, key, batch_size, num_slots)

    def features(self, images: np.ndarray, seed: int = 0) -> jax.Array:
        """Return vectors [B, F] for downstream use, as the model's paper takes them, of images [B, S, S, 3]."""
        checked = check_images(images, self.config.model.image_size)
        return calls.features(self.model, self.variables, checked, jax.random.key(seed))

    def options(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the keyword arguments of the model's call: those of the config, changed by those given.

        Raises:
          InputError: the model has no such option.
        """
        options = {**self.config.evaluation.model_options, **given}
        models.check_options(self.model, options)
        return options

    def data_config(
        self, dataset: str = "", variant: str = "", data_dir: str = ""
    ) -> ml_collections.ConfigDict:
        """Return the config of a dataset, read at the model's side.

        Args:
          dataset: name of the dataset; by default the one of training, as training read it.
          variant: variant of the dataset; by default the one of training, or the dataset's own default.
          data_dir: directory of the datasets; by default the one of training.
        """
        data = self.config.data.copy_and_resolve_references()
        if dataset and dataset != data.name:
            training, data = data, registry.default_config(dataset)
            data.update(image_size=training.image_size, data_dir=training.data_dir)
        data.update(variant=variant or data.variant, data_dir=data_dir or data.data_dir)
        return data


def evaluate(
    model: TrainedModel,
    dataset: str = "",
    *,
    variant: str = "",
    split: str = "test",
    num_images: int = 320,
    batch_size: int = 32,
    seed: int = 0,
    data_dir: str = "",
    **options: Any,
) -> dict[str, float]:
    """Return the mean of each metric over the first images of a split.

    Args:
      model: a model of `load`.
      dataset: name of the dataset; by default the one of training.
      variant: variant of the dataset; by default the one of training.
      split: "train", "validation", "test", or another split of the dataset.
      num_images: number of images; 320 is the papers' protocol.
      batch_size: number of images per batch.
      seed: seed of the latents.
      data_dir: directory of the datasets; by default the one of training.
      **options: keyword arguments of the model's call.

    Returns:
      The errors and the KL divergence, and, for datasets with masks, ARI, SC and mSC: `ari_fg` for models with one
      kind of masks, `ari_fg_attention` and `ari_fg_decoded` for models with two.

    Raises:
      UserError: the data cannot be read, or the model has no such option.
    """
    from ocgm.evaluation import evaluator  # It imports TFDS, which takes a second.

    scores, _ = evaluator.evaluate(
        model.model,
        model.variables,
        model.data_config(dataset, variant, data_dir),
        split=split,
        num_images=num_images,
        batch_size=batch_size,
        seed=seed,
        model_options=model.options(options),
    )
    return scores


def check_images(images: np.ndarray | Sequence[np.ndarray], image_size: int) -> jax.Array:
    """Return uint8 or float images as float32 [B, S, S, 3] in [0, 1].

    Raises:
      InputError: wrong rank, channels, size, dtype or range.
    """
    images = np.asarray(images)
    expected = f"[B, {image_size}, {image_size}, 3]"
    if images.ndim != 4 or images.shape[-1] != 3:
        raise InputError(f"images have shape {list(images.shape)}; expected {expected}.")
    if images.shape[1:3] != (image_size, image_size):
        raise InputError(
            f"images are {images.shape[1]}x{images.shape[2]}; this model takes {expected}. Call it"
            " with resize=True to crop and resize them."
        )
    if not len(images):
        raise InputError(f"there is no image in {list(images.shape)}; expected {expected}.")
    if images.dtype == np.uint8:
        return to_float(jnp.asarray(images))
    if not np.issubdtype(images.dtype, np.floating):
        raise InputError(f"images are {images.dtype}; expected uint8, or float in [0, 1].")
    if not np.isfinite(images).all():
        raise InputError("images hold NaN or infinite values.")
    if images.min() < 0.0 or images.max() > 1.0:
        raise InputError(
            f"float images must be in [0, 1]; these are in [{images.min():.4g}, {images.max():.4g}]."
            " Divide 8-bit values by 255, or pass them as uint8."
        )
    return jnp.asarray(images, jnp.float32)


def _resize(images: np.ndarray | Sequence[np.ndarray], image_size: int) -> np.ndarray:
    """Return images [H, W, 3] of any sizes as [B, S, S, 3]."""
    images = [np.asarray(image) for image in images]
    for image in images:
        if image.ndim != 3 or image.shape[-1] != 3 or not image.size:
            raise InputError(f"an image has shape {list(image.shape)}; expected [H, W, 3].")
    kinds = {image.dtype == np.uint8 for image in images}
    if len(kinds) != 1:
        raise InputError("expected one or more images, all uint8 or all float in [0, 1].")
    return np.stack([crop_and_resize(image, image_size) for image in images])


# ---- on disk


def list_models() -> list[ModelCard]:
    """Return the cards of the trained models that ship with the package, in the order of their names."""
    cards = []
    for path in sorted(_PRETRAINED.glob(f"*/*/{_CARD}")):
        name = path.parent.relative_to(_PRETRAINED).as_posix()
        cards.append(ModelCard(name=name, **json.loads(path.read_text())))
    return cards


def ships(name: str | pathlib.Path) -> bool:
    """Return whether `name` is the name of a model that ships with the package."""
    return isinstance(name, str) and name in {card.name for card in list_models()}


def locate(name_or_folder: str | pathlib.Path) -> pathlib.Path:
    """Return the directory of a run, of an export, or of a model that ships with the package.

    Raises:
      InputError: there is no such directory, and no model of this name ships.
    """
    if ships(name_or_folder):
        return _PRETRAINED / name_or_folder
    folder = as_path(name_or_folder).expanduser()
    if not folder.is_dir():
        names = [card.name for card in list_models()]
        raise InputError(
            f"{name_or_folder} is neither a directory nor a model that ships with ocgm; these"
            f" ship: {', '.join(names)}{did_you_mean(str(name_or_folder), names)}"
        )
    return folder


def load(name_or_folder: str | pathlib.Path, step: int | None = None) -> TrainedModel:
    """Load a trained model.

    Args:
      name_or_folder: directory of a run or an export, or the name of a model that ships with the package
        (`list_models`).
      step: step of the checkpoint of a run; by default the newest one that can be read.

    Raises:
      InputError: there is no such directory or model.
      ConfigError: the directory holds no run.
      CheckpointError: there is no checkpoint, it is damaged, or it does not fit the model.
    """
    folder = locate(name_or_folder)
    config = run_dir.load(folder)
    model = models.build(config.model)
    if (folder / _EXPORT).exists():
        return _load_export(folder, config, model, step)
    if not (folder / "checkpoints").is_dir():
        raise CheckpointError(f"{folder} holds no checkpoint yet.")
    with CheckpointStore(folder) as checkpoints:
        abstract = abstract_inference_state(model, sharding.make_mesh())
        restored = checkpoints.restore(abstract, step=step)
    if restored is None:
        raise CheckpointError(f"{folder} holds no checkpoint yet.")
    for problem in restored.problems:
        print(f"warning: {problem}", flush=True)
    return TrainedModel(config, model, restored.state.variables, restored.step)


def export(model: TrainedModel, folder: pathlib.Path) -> None:
    """Write config.json and the variables alone, without optimizer state, as one npz file."""
    flat = flax.traverse_util.flatten_dict(jax.device_get(model.variables), sep="/")
    write_atomically(folder / "config.json", run_dir.to_json(model.config).encode())
    buffer = io.BytesIO()
    np.savez(buffer, step=model.step, **flat)
    write_atomically(folder / _EXPORT, buffer.getvalue())


def _load_export(
    folder: pathlib.Path, config: ml_collections.ConfigDict, model: Model, step: int | None
) -> TrainedModel:
    path = folder / _EXPORT
    abstract = abstract_inference_state(model, sharding.make_mesh()).variables
    expected = flax.traverse_util.flatten_dict(abstract, sep="/")
    most_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in expected.values())
    try:
        flat = _read_arrays(path, most_bytes)
        exported = int(flat.pop("step"))
    except Exception as error:  # zipfile and NumPy raise several kinds for a damaged file.
        raise CheckpointError(f"{path} is damaged ({error}). {_EXPORT_AGAIN}") from error
    if problems := _misfits(flat, expected):
        raise CheckpointError(
            f"{path} does not fit the model of its config.json ({len(problems)} problems):\n  "
            + "\n  ".join([*problems[:_MOST_LINES], *["..."] * (len(problems) > _MOST_LINES)])
            + f"\n{_EXPORT_AGAIN}"
        )
    if step not in (None, exported):
        raise CheckpointError(f"{path} holds step {exported}, not step {step}.")
    return TrainedModel(config, model, flax.traverse_util.unflatten_dict(flat, sep="/"), exported)


def _read_arrays(path: pathlib.Path, most_bytes: int) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file.

    Raises:
      ValueError: it is none, or unpacks to more than about `most_bytes`.
      Exception: of other kinds, if it is damaged.
    """
    file = io.BytesIO(path.read_bytes())
    size = unpacked_bytes(file)
    if size is None:
        raise ValueError("it is no npz file")
    if size > most_bytes + 2**20:
        raise ValueError(f"it holds {size:,} bytes, but the model has {most_bytes:,}")
    with np.load(file) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _misfits(
    arrays: Mapping[str, np.ndarray], expected: Mapping[str, jax.ShapeDtypeStruct]
) -> list[str]:
    """Return one line for each array that is missing, unknown, of another kind, or not finite."""
    missing = sorted(expected.keys() - arrays.keys())
    # The models that ship were exported without the weights of the loss, which only refinement reads.
    problems = [f"{name} is missing" for name in missing if not name.startswith("loss_weights/")]
    for name, array in sorted(arrays.items()):
        if name not in expected:
            problems.append(f"{name} is unknown to the model")
        elif (array.shape, array.dtype) != (expected[name].shape, expected[name].dtype):
            kind = f"{expected[name].dtype} {list(expected[name].shape)}"
            problems.append(f"{name} is {array.dtype} {list(array.shape)} instead of {kind}")
        elif not np.isfinite(array).all():
            problems.append(f"{name} holds NaN or infinite values")
    return problems
