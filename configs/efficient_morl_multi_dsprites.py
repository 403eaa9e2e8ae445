"""EfficientMORL on Multi-dSprites, coloured on grey, 64x64, K = 6.

python -m ocgm.main --config=configs/efficient_morl_multi_dsprites.py --workdir=DIR

EfficientMORL paper: ARI-FG 91.2 +- 0.4.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.efficient_morl_multi_dsprites()
