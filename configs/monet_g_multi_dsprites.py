"""MONet-G on Multi-dSprites, 64x64, K = 5, trained with GECO.

ocgm train --config=monet_g_multi_dsprites --workdir=DIR

GENESIS paper, table 2: FID 92.7.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("monet", "multi_dsprites")
