"""MONet-G on Multi-dSprites, 64x64, K = 5, trained with GECO.

python -m ocgm.main --config=configs/monet_g_multi_dsprites.py --workdir=DIR

GENESIS paper: FID 92.7.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet_g("multi_dsprites")
