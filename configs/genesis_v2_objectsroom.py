"""GENESIS-V2 on Objects Room, 64x64, K = 7.

python -m ocgm.main --config=configs/genesis_v2_objectsroom.py --workdir=DIR

About 2 days on one Titan RTX with the authors' code. Paper, table 1 (3 seeds): ARI-FG 0.84, mSC-FG 0.58; FID 52.6.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    return common.genesis_v2("objects_room")
