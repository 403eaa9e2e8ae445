"""GENESIS-S on GQN rooms, 64x64, K = 7.

python -m ocgm.main --config=configs/genesis_s_gqn.py --workdir=DIR

GENESIS paper: FID 70.2.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_s("gqn")
