"""GENESIS-S on ShapeStacks, 64x64, K = 9.

python -m ocgm.main --config=configs/genesis_s_shapestacks.py --workdir=DIR
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_s("shapestacks")
