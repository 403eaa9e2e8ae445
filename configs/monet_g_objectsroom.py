"""MONet-G on Objects Room, 64x64, K = 7, trained with GECO.

python -m ocgm.main --config=configs/monet_g_objectsroom.py --workdir=DIR

GENESIS-V2 paper: ARI-FG 0.54, mSC-FG 0.33 (3 seeds); FID 205.7.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.monet_g("objects_room")
