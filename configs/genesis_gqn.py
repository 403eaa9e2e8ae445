"""GENESIS on GQN rooms, 64x64, K = 7.

ocgm train --config=genesis_gqn --workdir=DIR

About 2 days on one Titan RTX with the authors' code.
GENESIS paper, table 2: FID 80.5.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis", "gqn")
