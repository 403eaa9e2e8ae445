"""TFDS builder of Tetrominoes, from DeepMind's file."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, multi_object
from ocgm.datasets.builders.tfrecord import Field

_SIDE = 35
_NUM_PIECES = 3


class Builder(multi_object.MultiObjectBuilder):
    """Three tetrominoes of bright colours on black."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Get tetrominoes_train.tfrecords from {multi_object.BUCKET}/tetrominoes/."
    )
    VARIANTS = {"default": "Three pieces on black, as published."}
    PROTOCOLS = tuple(multi_object.SPRITE_PROTOCOLS)
    PARTS = multi_object.SPRITE_PROTOCOLS
    FOLDER = "tetrominoes"

    FACTORS = {
        **dict.fromkeys(("x", "y"), base.object_factor("number", _NUM_PIECES, np.int32)),
        "shape": base.object_factor("class", _NUM_PIECES, np.int32),
        "color": base.object_factor("class", _NUM_PIECES, np.uint8, 3),
        "visibility": base.object_factor("class", _NUM_PIECES, np.float32, scored=False),
    }

    forms = {
        "tetrominoes_train.tfrecords": multi_object.Form(
            entities=1 + _NUM_PIECES,
            height=_SIDE,
            width=_SIDE,
            factors={
                **dict.fromkeys(("x", "y", "shape", "visibility"), Field(np.float32, ())),
                "color": Field(np.float32, (3,)),
            },
        )
    }

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(_SIDE, self.factors)

    def record(self, form: multi_object.Form, example: multi_object.Example) -> base.Record:
        """See `MultiObjectBuilder`."""
        pieces = multi_object.visible(example)
        entities = multi_object.entity_map(form.planes(example))
        example = example | {"color": multi_object.to_bytes(example["color"])}
        return {
            "image": form.image(example),
            "masks": multi_object.label_map(entities, pieces),
            "num_objects": len(pieces),
            "factors": multi_object.object_factors(example, self.FACTORS, pieces),
        }
