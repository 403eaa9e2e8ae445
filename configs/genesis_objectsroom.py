"""GENESIS on Objects Room, 64x64, K = 7.

python -m ocgm.main --config=configs/genesis_objectsroom.py --workdir=DIR

GENESIS-V2 paper: ARI-FG 0.63, mSC-FG 0.53 (3 seeds); FID 62.8.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis("objects_room")
