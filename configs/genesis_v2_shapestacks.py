"""GENESIS-V2 on ShapeStacks, 64x64, K = 9.

python -m ocgm.main --config=configs/genesis_v2_shapestacks.py --workdir=DIR

About 2 days on one Titan RTX with the authors' code. Paper, table 1 (3 seeds): ARI-FG 0.81, mSC-FG 0.68; FID 112.7.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_v2("shapestacks")
