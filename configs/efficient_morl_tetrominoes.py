"""EfficientMORL on Tetrominoes, 35x35, K = 4.

python -m ocgm.main --config=configs/efficient_morl_tetrominoes.py --workdir=DIR

EfficientMORL paper: ARI-FG 98.2 +- 1.8; released checkpoint: ARI-FG 99.7, MSE 2.76e-4, KL 70.7.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.efficient_morl_tetrominoes()
