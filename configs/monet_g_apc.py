"""MONet-G on APC, 128x128, K = 10, trained with GECO.

python -m ocgm.main --config=configs/monet_g_apc.py --workdir=DIR

GENESIS-V2 paper: ARI 0.11, mSC 0.48 over all pixels; FID 269.3 (1 seed).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet_g("apc")
