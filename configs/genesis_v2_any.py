"""GENESIS-V2 on any dataset, published, synthetic or your own images, at the papers' side and K.

ocgm train --config=genesis_v2_any:objects_room_synthetic --workdir=DIR
ocgm train --config=genesis_v2_any:folder --config.data.manual_dir=IMAGES --workdir=DIR

This is a published experiment only for the datasets of the GENESIS-V2 paper.
"""

from ocgm import experiment
from ocgm.data import registry

SPECS = ("|".join(registry.DATASETS),)


def get_config(spec: str = "multi_dsprites"):
    (dataset,) = experiment.split_spec(spec, SPECS)
    config = experiment.default_config("genesis_v2", dataset)
    if dataset.startswith("tetrominoes"):
        config.data.image_size = 32  # the model's sides are powers of two
    return config
