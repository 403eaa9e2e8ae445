"""GENESIS on Sketchy, 128x128, K = 10.

python -m ocgm.main --config=configs/genesis_sketchy.py --workdir=DIR

GENESIS-V2 paper: FID 241.9 (1 seed).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis("sketchy")
