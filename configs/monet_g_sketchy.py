"""MONet-G on Sketchy, 128x128, K = 10, trained with GECO.

python -m ocgm.main --config=configs/monet_g_sketchy.py --workdir=DIR

GENESIS-V2 paper: FID 294.3 (1 seed).
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet_g("sketchy")
