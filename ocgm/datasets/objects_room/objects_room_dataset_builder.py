"""TFDS builder of Objects Room, from DeepMind's files."""

import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, multi_object
from ocgm.datasets.objects_room import backgrounds

_SIDE = 64
# Number of planes in the file of each split; the first file has train, validation and test.
_ENTITIES = {"train": 7, "test_empty_room": 4, "test_six_objects": 10, "test_identical_color": 10}


class Builder(multi_object.MultiObjectBuilder):
    """Rooms with objects, and test sets with none, with six and with four to six of one colour."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Get the four files objects_room_*.tfrecords from {multi_object.BUCKET}/objects_room/."
    )
    VARIANTS = {"default": "Rooms with up to three objects; three more test sets."}
    SPLITS = (*base.SPLITS, *(split for split in _ENTITIES if split != "train"))
    PARTS = {"": multi_object.GENESIS}
    FOLDER = "objects_room"

    forms = {
        f"objects_room_{split}.tfrecords": multi_object.Form(entities=n, height=_SIDE, width=_SIDE)
        for split, n in _ENTITIES.items()
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(_SIDE, self.factors, background_parts=True)

    def _factors(self) -> dict[str, base.Factor]:
        return {}

    def splits(self, files: list[pathlib.Path]) -> dict[str, Iterator[base.Record]]:
        """See `FileBuilder`."""
        mixed, *whole = files
        runs = self.runs(mixed, self.PARTS[""])
        for path, split in zip(whole, self.SPLITS[3:], strict=True):
            runs |= self.runs(path, (multi_object.Part(split),))
        return runs

    def record(self, form: multi_object.Form, example: multi_object.Example) -> base.Record:
        """See `MultiObjectBuilder`."""
        image, entities = form.image(example), multi_object.entity_map(form.planes(example))
        num_parts = backgrounds.num_background_planes(image, entities, form.entities)
        seen = np.flatnonzero(np.bincount(entities.ravel(), minlength=form.entities))
        objects = seen[seen >= num_parts]
        return {
            "image": image,
            "masks": multi_object.label_map(entities, objects),
            "num_objects": len(objects),
            "factors": {},
            "background_parts": np.where(entities < num_parts, entities + 1, 0).astype(np.uint8),
        }
