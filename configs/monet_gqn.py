"""MONet on GQN rooms, 64x64, K = 7, with the settings of Burgess et al.

python -m ocgm.main --config=configs/monet_gqn.py --workdir=DIR

The GENESIS paper's figures for MONet are those of monet_g_gqn.py.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet("gqn")
