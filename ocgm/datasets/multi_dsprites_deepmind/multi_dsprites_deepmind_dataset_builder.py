"""TFDS builder of Multi-dSprites, from DeepMind's files."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, multi_object
from ocgm.datasets.builders.tfrecord import Field

VARIANTS = {
    "colored_on_grayscale": "2 to 5 sprites of random colours on grey.",
    "binarized": "2 or 3 white sprites on black.",
    "colored_on_colored": "1 to 4 sprites, they and the background of any colour.",
}

_SIDE = 64
_MAX_SPRITES = 5
# What the variants differ in: number of entities, and of channels.
_ENTITIES = {"colored_on_grayscale": 6, "binarized": 4, "colored_on_colored": 5}
_CHANNELS = {"colored_on_grayscale": 3, "binarized": 1, "colored_on_colored": 3}


def _per_sprite(dtype: type, *shape: int) -> tfds.features.Tensor:
    return tfds.features.Tensor(shape=(_MAX_SPRITES, *shape), dtype=dtype)


_FACTORS = {
    "shape": _per_sprite(np.int32),
    "scale": _per_sprite(np.float32),
    "orientation": _per_sprite(np.float32),
    "x": _per_sprite(np.float32),
    "y": _per_sprite(np.float32),
    "color": _per_sprite(np.uint8, 3),
    "visibility": _per_sprite(np.float32),
}


class Builder(multi_object.MultiObjectBuilder):
    """Up to five flat dSprites, later ones in front of earlier ones."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "Initial release."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Get multi_dsprites_VARIANT.tfrecords from {multi_object.BUCKET}/multi_dsprites/."
    )
    HOMEPAGE = "https://github.com/google-deepmind/multi_object_datasets"
    VARIANTS = VARIANTS
    BUILDER_CONFIGS = base.standard_configs(VARIANTS)
    PROTOCOLS = tuple(multi_object.SPRITE_PROTOCOLS)
    PARTS = multi_object.SPRITE_PROTOCOLS
    FOLDER = "multi_dsprites"

    @property
    def forms(self) -> dict[str, multi_object.Form]:
        """See `MultiObjectBuilder`."""
        variant = self.builder_config.variant
        numbers = [name for name in _FACTORS if name != "color"]
        form = multi_object.Form(
            entities=_ENTITIES[variant],
            height=_SIDE,
            width=_SIDE,
            channels=_CHANNELS[variant],
            planes_last=True,
            factors={
                **dict.fromkeys(numbers, Field(np.float32, ())),
                "color": Field(np.float32, (_CHANNELS[variant],)),
            },
        )
        return {f"multi_dsprites_{variant}.tfrecords": form}

    def _features(self) -> tfds.features.FeaturesDict:
        background = tfds.features.Tensor(shape=(3,), dtype=np.uint8)
        return base.record_features(_SIDE, {**_FACTORS, "background_color": background})

    def record(self, form: multi_object.Form, example: multi_object.Example) -> base.Record:
        """See `MultiObjectBuilder`."""
        sprites = multi_object.visible(example)
        entities = multi_object.entity_map(form.planes(example))
        colors = multi_object.to_bytes(np.broadcast_to(example["color"], (form.entities, 3)))
        return {
            "image": form.image(example),
            "masks": multi_object.label_map(entities, sprites),
            "num_objects": len(sprites),
            "factors": {
                **multi_object.object_factors(example | {"color": colors}, _FACTORS, sprites),
                "background_color": colors[0],
            },
        }
