"""The datasets of the library.

To add a dataset NAME, add an entry to `_SPECS` and a directory ocgm/datasets/NAME, in which NAME_dataset_builder.py
has a class `Builder`, a `SceneBuilder`. Nothing else has to know it.
"""

import dataclasses
import os

from ml_collections import ConfigDict

from ocgm.errors import DatasetMissingError, UserError, did_you_mean


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """Properties of a dataset that are known without opening it.

    Attributes:
      name: value of `config.data.name`, and name of the directory below the data directory.
      title: name in tables, figures and messages.
      image_size: side in pixels that the papers use.
      num_slots: K of the papers' models.
      max_objects: largest number of objects in an image of any split, background not counted.
      has_masks: whether there are true masks, hence segmentation metrics.
      foreground: what labels from 1 up stand for, which the FG metrics score; label 0 is the rest.
      grouped: name of the factor that numbers scenes, if neighbouring records are images of one scene; evaluation then
        reads a split in a fixed random order, so that its first images show many scenes. '' if they are not.
      generated: whether the builder generates the scenes itself.
      how_to_get: where the data come from, for the message when they are missing.
      stand_in: name of a generated dataset with the same record, to use where the files are missing; "" for none.
    """

    name: str
    title: str
    image_size: int
    num_slots: int
    max_objects: int
    has_masks: bool = True
    foreground: str = "objects"
    grouped: str = ""
    generated: bool = False
    how_to_get: str = ""
    stand_in: str = ""

    @property
    def builder(self) -> str:
        """Import path of the builder's module."""
        return f"ocgm.datasets.{self.name}.{self.name}_dataset_builder"


_BUCKET = "https://storage.googleapis.com/multi-object-datasets"

_PUBLISHED = (
    DatasetSpec(
        name="dsprites",
        stand_in="dsprites_synthetic",
        title="dSprites",
        image_size=64,
        num_slots=2,
        max_objects=1,
        foreground="the sprite",
        how_to_get=(
            "download dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz or .hdf5 from "
            "https://github.com/google-deepmind/dsprites-dataset"
        ),
    ),
    DatasetSpec(
        name="multi_dsprites_deepmind",
        stand_in="multi_dsprites_deepmind_synthetic",
        title="Multi-dSprites (DeepMind)",
        image_size=64,
        num_slots=6,
        max_objects=5,
        foreground="sprites",
        how_to_get=(
            "download multi_dsprites_colored_on_grayscale.tfrecords (or _binarized, "
            f"_colored_on_colored; 0.5 to 1 GB each) from {_BUCKET}/multi_dsprites/"
        ),
    ),
    DatasetSpec(
        name="tetrominoes",
        stand_in="tetrominoes_synthetic",
        title="Tetrominoes",
        image_size=35,
        num_slots=4,
        max_objects=3,
        foreground="pieces",
        how_to_get=f"download tetrominoes_train.tfrecords (300 MB) from {_BUCKET}/tetrominoes/",
    ),
    DatasetSpec(
        name="clevr_with_masks",
        stand_in="clevr_with_masks_synthetic",
        title="CLEVR with masks",
        image_size=128,
        num_slots=7,
        max_objects=10,
        how_to_get=(
            f"download clevr_with_masks_train.tfrecords (10.5 GB) from {_BUCKET}/clevr_with_masks/"
        ),
    ),
    DatasetSpec(
        name="objects_room",
        stand_in="objects_room_synthetic",
        title="Objects Room",
        image_size=64,
        num_slots=7,
        max_objects=6,
        foreground="objects; sky, floor and walls are label 0",
        how_to_get=(
            "download objects_room_train.tfrecords (7 GB) and the objects_room_test_*.tfrecords "
            f"from {_BUCKET}/objects_room/"
        ),
    ),
    DatasetSpec(
        name="shapestacks",
        stand_in="shapestacks_synthetic",
        title="ShapeStacks",
        image_size=64,
        num_slots=9,
        max_objects=6,
        foreground="blocks, counted from the bottom",
        grouped="scene",
        how_to_get=(
            "download and unpack shapestacks-meta, -rgb (33 GB) and -iseg (352 MB) .tar.gz from "
            "http://shapestacks-file.robots.ox.ac.uk/static/download/v1/"
        ),
    ),
    DatasetSpec(
        name="gqn",
        stand_in="gqn_synthetic",
        title="GQN rooms_ring_camera",
        image_size=64,
        num_slots=7,
        max_objects=3,
        has_masks=False,
        foreground="none: there are no masks",
        grouped="scene",
        how_to_get="download gs://gqn-dataset/rooms_ring_camera (250 GB), or some of its files",
    ),
    DatasetSpec(
        name="sketchy",
        stand_in="sketchy_synthetic",
        title="Sketchy",
        image_size=128,
        num_slots=10,
        max_objects=3,
        has_masks=False,
        foreground="none: there are no masks",
        grouped="episode",
        how_to_get=(
            "download and unpack the two lift_green__demos and the two stack_green_on_red__demos "
            "archives (.tar.bz2) from https://storage.googleapis.com/sketchy-data/"
        ),
    ),
    DatasetSpec(
        name="apc",
        stand_in="apc_synthetic",
        title="APC 2016 (MIT-Princeton)",
        image_size=128,
        num_slots=10,
        max_objects=1,
        foreground="the object; the papers score all pixels",
        grouped="scene",
        how_to_get=(
            "download and unpack the Object Segmentation Training Dataset (130 GB), "
            "http://3dvision.princeton.edu/projects/2016/apc/downloads/training.zip"
        ),
    ),
)

_MULTI_DSPRITES = DatasetSpec(
    name="multi_dsprites",
    title="Multi-dSprites (GENESIS)",
    image_size=64,
    num_slots=5,
    max_objects=4,
    foreground="sprites",
    generated=True,
)

_FOLDER = DatasetSpec(
    name="folder",
    title="Directory of images",
    image_size=64,
    num_slots=7,
    max_objects=63,
    foreground="objects with a mask",
    how_to_get="pass a directory of images, --config.data.manual_dir=DIR",
)


def _synthetic(spec: DatasetSpec) -> DatasetSpec:
    """Return the synthetic dataset for a published one; it has masks even where the published one has none."""
    return dataclasses.replace(
        spec,
        name=spec.stand_in,
        title=f"{spec.title}, synthetic",
        has_masks=True,
        foreground=spec.foreground if spec.has_masks else "objects",
        generated=True,
        how_to_get="",
        stand_in="",
    )


_SPECS = (
    _MULTI_DSPRITES,
    *_PUBLISHED,
    *(_synthetic(spec) for spec in _PUBLISHED if spec.stand_in),
    _FOLDER,
)

DATASETS = {spec.name: spec for spec in _SPECS}


def get_spec(name: str) -> DatasetSpec:
    """Return the entry of a dataset.

    Raises:
      UserError: if there is none with this name.
    """
    if name in DATASETS:
        return DATASETS[name]
    near = did_you_mean(name, DATASETS)
    raise UserError(f"unknown dataset '{name}'; known are {', '.join(DATASETS)}{near}")


def default_config(name: str) -> ConfigDict:
    """Return the `data` part of a config for the standard form of a dataset.

    Raises:
      UserError: if there is no dataset with this name.
    """
    return ConfigDict(
        {
            "name": name,
            "variant": "",  # "" means the dataset's first, such as multi_dsprites' "plain"
            "protocol": "",  # whose splits and preprocessing; "" means the dataset's first
            "image_size": get_spec(name).image_size,
            "data_dir": "",  # "" means $OCGM_DATA_DIR, or ~/tensorflow_datasets
            "manual_dir": "",  # directory of the published files or of your images; "" means that of downloads
            "sprites_path": "",  # dSprites npz for datasets of sprites; "" draws sprites from formulas
            "num_examples": (),  # (train, validation, test); () means all
            "on_the_fly": False,  # generate new scenes while training; only for generated datasets
        }
    )


def missing_error(spec: DatasetSpec, data_dir: str | os.PathLike, reason: str = "") -> UserError:
    """Return the error to raise when neither a dataset nor its files are on disk.

    Args:
      spec: the dataset's entry.
      data_dir: where datasets are kept.
      reason: which file was not found where.
    """
    message = f"{spec.title} ('{spec.name}') is not at {os.path.join(data_dir, spec.name)}"
    message += f". To get it, {spec.how_to_get}" if spec.how_to_get else ""
    message += f" ({reason})" if reason else ""
    if spec.name != _FOLDER.name:
        message += (
            f"; `ocgm data prepare {spec.name}` downloads it where that is possible, and reads files that "
            "you have with --manual_dir=DIR"
        )
    if spec.stand_in:
        message += (
            f". To run now on the synthetic stand-in, {get_spec(spec.stand_in).title}, add "
            f"--config.data.name={spec.stand_in}"
        )
    return DatasetMissingError(message)
