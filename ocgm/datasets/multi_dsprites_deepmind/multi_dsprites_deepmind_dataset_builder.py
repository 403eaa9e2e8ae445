"""TFDS builder of Multi-dSprites, from DeepMind's files."""

import numpy as np
import tensorflow_datasets as tfds

from ocgm.datasets.builders import base, multi_object
from ocgm.datasets.builders.tfrecord import Field
from ocgm.datasets.sprites.sprite_scenes import SHAPE_NAMES

_SIDE = 64
_MAX_SPRITES = 5
# Numbers of entities and of channels of the variants.
_ENTITIES = {"colored_on_grayscale": 6, "binarized": 4, "colored_on_colored": 5}
_CHANNELS = {"colored_on_grayscale": 3, "binarized": 1, "colored_on_colored": 3}


class Builder(multi_object.MultiObjectBuilder):
    """Up to five flat dSprites, later ones in front of earlier ones."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        f"Get multi_dsprites_VARIANT.tfrecords from {multi_object.BUCKET}/multi_dsprites/."
    )
    VARIANTS = {
        "colored_on_grayscale": "2 to 5 sprites of random colours on grey.",
        "binarized": "2 or 3 white sprites on black.",
        "colored_on_colored": "1 to 4 sprites; sprites and background of any colour.",
    }
    PROTOCOLS = tuple(multi_object.SPRITE_PROTOCOLS)
    PARTS = multi_object.SPRITE_PROTOCOLS
    FOLDER = "multi_dsprites"

    @property
    def forms(self) -> dict[str, multi_object.Form]:
        """See `MultiObjectBuilder`."""
        variant = self.builder_config.variant
        form = multi_object.Form(
            entities=_ENTITIES[variant],
            height=_SIDE,
            width=_SIDE,
            channels=_CHANNELS[variant],
            planes_last=True,
            factors={
                **dict.fromkeys(self._factors_of_sprites(), Field(np.float32, ())),
                "color": Field(np.float32, (_CHANNELS[variant],)),
            },
        )
        return {f"multi_dsprites_{variant}.tfrecords": form}

    def _features(self) -> tfds.features.FeaturesDict:
        return base.record_features(_SIDE, self.factors)

    def _factors(self) -> dict[str, base.Factor]:
        background = base.scene_factor(self._color_kind, np.uint8, 3)
        return {**self._factors_of_sprites(), "background_color": background}

    def _factors_of_sprites(self) -> dict[str, base.Factor]:
        number = base.object_factor("number", _MAX_SPRITES, np.float32)
        return {
            "shape": base.object_factor("class", _MAX_SPRITES, np.int32, names=SHAPE_NAMES),
            **dict.fromkeys(("scale", "orientation", "x", "y"), number),
            "color": base.object_factor(self._color_kind, _MAX_SPRITES, np.uint8, 3),
            "visibility": base.object_factor("class", _MAX_SPRITES, np.float32, scored=False),
        }

    @property
    def _color_kind(self) -> base.FactorKind:
        return "class" if self.builder_config.variant == "binarized" else "number"

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
                **multi_object.object_factors(
                    example | {"color": colors}, self._factors_of_sprites(), sprites
                ),
                "background_color": colors[0],
            },
        }
