"""GENESIS on Objects Room, 64x64, K = 7.

ocgm train --config=genesis_objectsroom --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
GENESIS-V2 paper, table 1 (3 seeds): ARI-FG 0.63, mSC-FG 0.53; table 3: FID 62.8 +- 2.5.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis", "objects_room")
