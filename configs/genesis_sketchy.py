"""GENESIS on Sketchy, 128x128, K = 10.

ocgm train --config=genesis_sketchy --workdir=DIR

About 8 days on one Titan RTX with the authors' code.
GENESIS-V2 paper, table 5 (1 seed): FID 241.9.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis", "sketchy")
