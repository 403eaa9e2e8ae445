"""GENESIS-V2 on Multi-dSprites, 64x64, K = 5.

python -m ocgm.main --config=configs/genesis_v2_multi_dsprites.py --workdir=DIR

About 2 days on one Titan RTX with the authors' code. GENESIS-V2's paper has no Multi-dSprites run;
these are GENESIS's settings for the data set.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_v2("multi_dsprites")
