"""MONet on Multi-dSprites, 64x64, K = 5, with the settings of Burgess et al. (2019).

ocgm train --config=monet_multi_dsprites --workdir=DIR

The GENESIS paper's figures for MONet are those of monet_g_multi_dsprites.py.
"""

from ocgm import experiment, protocols


def get_config():
    config = experiment.default_config("monet", "multi_dsprites")
    protocols.monet(config)
    return config
