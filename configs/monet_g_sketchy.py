"""MONet-G on Sketchy, 128x128, K = 10, trained with GECO.

ocgm train --config=monet_g_sketchy --workdir=DIR

GENESIS-V2 paper, table 5 (1 seed): FID 294.3.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("monet", "sketchy")
