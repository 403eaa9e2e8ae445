"""MONet on ShapeStacks, 64x64, K = 9, with the settings of Burgess et al. (2019).

ocgm train --config=monet_shapestacks --workdir=DIR

The GENESIS paper's figures for MONet are those of monet_g_shapestacks.py.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("monet", "shapestacks")
    protocols.monet(config)
    return config
