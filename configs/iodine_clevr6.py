"""IODINE on CLEVR6, 128x128, K = 7.

python -m ocgm.main --config=configs/iodine_clevr6.py --workdir=DIR

ARI-FG 98.8, as EfficientMORL's paper quotes it. The published configuration for one device: batch 4.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.iodine("clevr_with_masks")
    config.data.update(variant="clevr6", protocol="slot_attention", image_size=128)
    return config
