"""GENESIS-V2 without the autoregressive prior, by kernel: table 6 of its paper.

python -m ocgm.main --config=configs/genesis_v2_independent_prior.py:objects_room,laplacian --workdir=DIR

| ARI, mSC (3 seeds) | gaussian | laplacian | epanechnikov |
|---|---|---|---|
| objects_room | 0.79, 0.47 | 0.74, 0.48 | 0.78, 0.34 |
| shapestacks | 0.79, 0.67 | 0.79, 0.67 | 0.78, 0.66 |
"""

from ml_collections import ConfigDict

from configs import common

SPECS = ("objects_room|shapestacks,gaussian|laplacian|epanechnikov",)


def get_config(spec: str = "objects_room,gaussian") -> ConfigDict:
    dataset, kernel = common.split_spec(spec, SPECS)
    config = common.genesis_v2(dataset)
    config.model.kernel = kernel
    config.model.autoregressive_prior = False
    return config
