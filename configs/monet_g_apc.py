"""MONet-G on APC, 128x128, K = 10, trained with GECO.

ocgm train --config=monet_g_apc --workdir=DIR

GENESIS-V2 paper, table 4 (1 seed, all pixels): ARI 0.11, mSC 0.48; table 5: FID 269.3.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("monet", "apc")
