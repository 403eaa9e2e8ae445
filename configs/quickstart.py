"""GENESIS-V2, small, on Multi-dSprites at 32x32: minutes on a laptop.

make quickstart
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.genesis_v2("multi_dsprites")
    config.data.image_size = 32
    config.data.variant = "unique"
    config.model.feature_dim = 16
    return config
