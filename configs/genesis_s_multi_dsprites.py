"""GENESIS-S on Multi-dSprites, 64x64, K = 5.

ocgm train --config=genesis_s_multi_dsprites --workdir=DIR

GENESIS paper, table 2: FID 28.2.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_s", "multi_dsprites")
