"""The datasets ocgm knows. A new one needs one entry here and one folder with its TFDS builder.

The builder module of an entry holds `Builder`, a TFDS builder that writes array_record and the
record of docs/design.md, and `make_config(data_config)`, which turns the `data` part of a config
into the builder's config (a name or a `BuilderConfig`).
"""

import dataclasses
import difflib
import os

from ocgm.errors import DatasetMissingError, UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What the library has to know about a dataset without opening it.

    Attributes:
      name: value of `config.data.name`; also the folder below the data directory.
      title: name for people.
      image_size: native side in pixels; of pictures that are not square, the side in the papers.
      num_slots: K of the papers' models.
      max_objects: largest number of objects in a training image, background not counted.
      has_masks: whether there are true masks, hence segmentation metrics.
      builder: import path of the builder module; None where no reader exists yet.
      generated: whether the builder needs no download.
      how_to_get: where the data come from, for the message when they are missing.
      stand_in: name of a generated dataset that can take its place; '' for none.
    """

    name: str
    title: str
    image_size: int
    num_slots: int
    max_objects: int
    has_masks: bool
    builder: str | None
    generated: bool
    how_to_get: str
    stand_in: str


_SPECS = (
    DatasetSpec(
        name="multi_dsprites",
        title="Multi-dSprites (GENESIS)",
        image_size=64,
        num_slots=5,
        max_objects=4,
        has_masks=True,
        builder="ocgm.data.multi_dsprites.multi_dsprites_dataset_builder",
        generated=True,
        how_to_get="it is generated on the spot",
        stand_in="",
    ),
    DatasetSpec(
        name="multi_dsprites_deepmind",
        title="Multi-dSprites (DeepMind)",
        image_size=64,
        num_slots=6,
        max_objects=5,
        has_masks=True,
        builder="ocgm.data.multi_dsprites_deepmind.multi_dsprites_deepmind_dataset_builder",
        generated=True,
        how_to_get="it is generated on the spot",
        stand_in="",
    ),
    DatasetSpec(
        name="tetrominoes",
        title="Tetrominoes",
        image_size=35,
        num_slots=4,
        max_objects=3,
        has_masks=True,
        builder="ocgm.data.tetrominoes.tetrominoes_dataset_builder",
        generated=True,
        how_to_get="it is generated on the spot",
        stand_in="",
    ),
    DatasetSpec(
        name="clevr_with_masks",
        title="CLEVR with masks",
        image_size=128,
        num_slots=7,
        max_objects=10,
        has_masks=True,
        builder=None,
        generated=False,
        how_to_get=(
            "download clevr_with_masks_train.tfrecords (10.5 GB) from "
            "https://storage.googleapis.com/multi-object-datasets/clevr_with_masks/"
        ),
        stand_in="multi_dsprites_deepmind",
    ),
    DatasetSpec(
        name="objects_room",
        title="Objects Room",
        image_size=64,
        num_slots=7,
        max_objects=3,
        has_masks=True,
        builder=None,
        generated=False,
        how_to_get=(
            "download objects_room_train.tfrecords (7 GB) and the objects_room_test_*.tfrecords "
            "from https://storage.googleapis.com/multi-object-datasets/objects_room/"
        ),
        stand_in="multi_dsprites",
    ),
    DatasetSpec(
        name="shapestacks",
        title="ShapeStacks",
        image_size=224,
        num_slots=9,
        max_objects=6,
        has_masks=True,
        builder=None,
        generated=False,
        how_to_get=(
            "download and unpack shapestacks-meta, -rgb (33 GB) and -iseg (352 MB) .tar.gz from "
            "http://shapestacks-file.robots.ox.ac.uk/static/download/v1/"
        ),
        stand_in="multi_dsprites",
    ),
    DatasetSpec(
        name="gqn",
        title="GQN rooms_ring_camera",
        image_size=64,
        num_slots=7,
        max_objects=3,
        has_masks=False,
        builder=None,
        generated=False,
        how_to_get="download gs://gqn-dataset/rooms_ring_camera (250 GB)",
        stand_in="multi_dsprites",
    ),
    DatasetSpec(
        name="sketchy",
        title="Sketchy",
        image_size=128,
        num_slots=10,
        max_objects=3,
        has_masks=False,
        builder=None,
        generated=False,
        how_to_get=(
            "download and unpack the two lift_green__demos and the two stack_green_on_red__demos "
            "archives (.tar.bz2) from https://storage.googleapis.com/sketchy-data/"
        ),
        stand_in="multi_dsprites",
    ),
    DatasetSpec(
        name="apc",
        title="APC 2016 (MIT-Princeton)",
        image_size=128,
        num_slots=10,
        max_objects=1,
        has_masks=True,
        builder=None,
        generated=False,
        how_to_get=(
            "download and unpack the Object Segmentation Training Dataset (130 GB), "
            "http://3dvision.princeton.edu/projects/2016/apc/downloads/training.zip"
        ),
        stand_in="multi_dsprites",
    ),
)

DATASETS = {spec.name: spec for spec in _SPECS}


def get_spec(name: str) -> DatasetSpec:
    """Returns the entry of a dataset.

    Raises:
      UserError: if there is none of this name.
    """
    if name in DATASETS:
        return DATASETS[name]
    close = difflib.get_close_matches(name, DATASETS, n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    raise UserError(f"unknown dataset '{name}'; there are {', '.join(DATASETS)}.{hint}")


def missing_error(
    spec: DatasetSpec, data_dir: str | os.PathLike, image_size: int
) -> DatasetMissingError:
    """Returns the error to raise when a dataset is not on disk and cannot be generated.

    `image_size` is the side that the experiment asks for.
    """
    message = (
        f"{spec.title} ('{spec.name}') is not at {os.path.join(data_dir, spec.name)}. "
        f"To get it, {spec.how_to_get}"
    )
    if spec.builder is None:
        message += "; this version of ocgm has no reader for it yet"
    if spec.stand_in:
        stand_in = DATASETS[spec.stand_in]
        message += (
            f". To run now on the synthetic stand-in {stand_in.title}, add "
            f"--config.data.name={spec.stand_in}"
        )
        if image_size > stand_in.image_size:
            message += f" --config.data.image_size={stand_in.image_size}"
    return DatasetMissingError(message)
