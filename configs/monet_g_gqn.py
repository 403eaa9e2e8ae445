"""MONet-G on GQN rooms, 64x64, K = 7, trained with GECO.

ocgm train --config=monet_g_gqn --workdir=DIR

GENESIS paper, table 2: FID 176.4.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("monet", "gqn")
