"""GENESIS-V2 on any dataset, published, synthetic or your own, at the papers' side and K.

python -m ocgm.main --config=configs/genesis_v2_any.py:objects_room_synthetic --workdir=DIR
python -m ocgm.main --config=configs/genesis_v2_any.py:folder --config.data.manual_dir=PICTURES --workdir=DIR

Only for the datasets of its own paper is this a published experiment.
"""

from ml_collections import ConfigDict

from configs import common

SPECS = ("|".join(common.DATASETS),)


def get_config(spec: str = "multi_dsprites") -> ConfigDict:
    (dataset,) = common.split_spec(spec, SPECS)
    config = common.genesis_v2(dataset)
    if dataset.startswith("tetrominoes"):
        config.data.image_size = 32  # The model's sides are powers of two.
    return config
