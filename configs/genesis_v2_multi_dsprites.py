"""GENESIS-V2 on Multi-dSprites, 64x64, K = 5.

ocgm train --config=genesis_v2_multi_dsprites --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
The GENESIS-V2 paper has no figure for Multi-dSprites; these are GENESIS's settings for the dataset.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_v2", "multi_dsprites")
