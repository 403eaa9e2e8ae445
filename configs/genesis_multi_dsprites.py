"""GENESIS on Multi-dSprites, 64x64, K = 5.

python -m ocgm.main --config=configs/genesis_multi_dsprites.py --workdir=DIR

GENESIS paper: FID 24.9.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis("multi_dsprites")
