"""EfficientMORL on CLEVR6, 96x96, K = 7.

python -m ocgm.main --config=configs/efficient_morl_clevr6.py --workdir=DIR

EfficientMORL paper: ARI-FG 96.2 +- 1.6. Scenes with 7 to 10 objects: python -m ocgm.evaluate --workdir=DIR
--variant=clevr10 --num_slots=11.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.efficient_morl_clevr6()
