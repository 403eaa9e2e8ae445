"""GENESIS-S on ShapeStacks, 64x64, K = 9.

ocgm train --config=genesis_s_shapestacks --workdir=DIR

GENESIS paper, table 1, accuracy of probes on the latents: stability 63.2 %, height 80.8 %, view 99.7 %.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_s", "shapestacks")
