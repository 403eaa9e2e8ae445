"""GENESIS-V2 on APC, 128x128, K = 10.

python -m ocgm.main --config=configs/genesis_v2_apc.py --workdir=DIR

About 8 days on one Titan RTX with the authors' code.
GENESIS-V2 paper: ARI 0.55, mSC 0.67 over all pixels; FID 245.6 (1 seed).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_v2("apc")
