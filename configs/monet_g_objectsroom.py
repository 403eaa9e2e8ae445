"""MONet-G on Objects Room, 64x64, K = 7, trained with GECO.

ocgm train --config=monet_g_objectsroom --workdir=DIR

GENESIS-V2 paper, table 1 (3 seeds): ARI-FG 0.54, mSC-FG 0.33; table 3: FID 205.7 +- 7.6.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("monet", "objects_room")
