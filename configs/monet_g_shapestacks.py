"""MONet-G on ShapeStacks, 64x64, K = 9, trained with GECO.

python -m ocgm.main --config=configs/monet_g_shapestacks.py --workdir=DIR

GENESIS paper: ARI-FG 0.63, SC 0.52, mSC 0.49 (5 seeds, 300 test images).
GENESIS-V2 paper: ARI-FG 0.70, mSC-FG 0.57 (3 seeds); FID 197.8.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet_g("shapestacks")
