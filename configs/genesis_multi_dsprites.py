"""GENESIS on Multi-dSprites, 64x64, K = 5.

ocgm train --config=genesis_multi_dsprites --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
GENESIS paper, table 2: FID 24.9.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis", "multi_dsprites")
