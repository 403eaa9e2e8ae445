"""GENESIS on ShapeStacks, 64x64, K = 9.

python -m ocgm.main --config=configs/genesis_shapestacks.py --workdir=DIR

GENESIS paper: ARI-FG 0.73, SC 0.64, mSC 0.60 (5 seeds, 300 test images).
GENESIS-V2 paper: ARI-FG 0.70, mSC-FG 0.67 (3 seeds); FID 186.8.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis("shapestacks")
