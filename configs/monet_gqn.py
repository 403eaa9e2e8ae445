"""MONet on GQN rooms, 64x64, K = 7, with the settings of Burgess et al. (2019).

ocgm train --config=monet_gqn --workdir=DIR

The GENESIS paper's figures for MONet are those of monet_g_gqn.py.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("monet", "gqn")
    protocols.monet(config)
    return config
