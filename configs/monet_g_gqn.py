"""MONet-G on GQN rooms, 64x64, K = 7, trained with GECO.

python -m ocgm.main --config=configs/monet_g_gqn.py --workdir=DIR

GENESIS paper: FID 176.4.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet_g("gqn")
