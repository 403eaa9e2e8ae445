"""GENESIS-V2 on Objects Room, 64x64, K = 7.

ocgm train --config=genesis_v2_objectsroom --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
GENESIS-V2 paper, table 1 (3 seeds): ARI-FG 0.84, mSC-FG 0.58; table 3: FID 52.6 +- 2.7.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_v2", "objects_room")
