"""MONet on Multi-dSprites, 64x64, K = 5, with the settings of Burgess et al.

python -m ocgm.main --config=configs/monet_multi_dsprites.py --workdir=DIR

The GENESIS paper's figures for MONet are those of monet_g_multi_dsprites.py.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet("multi_dsprites")
