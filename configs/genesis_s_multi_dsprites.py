"""GENESIS-S on Multi-dSprites, 64x64, K = 5.

python -m ocgm.main --config=configs/genesis_s_multi_dsprites.py --workdir=DIR

GENESIS paper: FID 28.2.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_s("multi_dsprites")
