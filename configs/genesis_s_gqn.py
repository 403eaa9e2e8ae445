"""GENESIS-S on GQN rooms, 64x64, K = 7.

ocgm train --config=genesis_s_gqn --workdir=DIR

GENESIS paper, table 2: FID 70.2.
"""

from ocgm import experiment


def get_config():
    return experiment.default_config("genesis_s", "gqn")
