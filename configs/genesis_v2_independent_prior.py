"""GENESIS-V2 without the autoregressive prior, by dataset and kernel.

ocgm train --config=genesis_v2_independent_prior:objects_room,laplacian --workdir=DIR

GENESIS-V2 paper, table 6 (3 seeds):

| ARI-FG, mSC-FG | gaussian | laplacian | epanechnikov |
|---|---|---|---|
| objects_room | 0.79, 0.47 | 0.74, 0.48 | 0.78, 0.34 |
| shapestacks | 0.79, 0.67 | 0.79, 0.67 | 0.78, 0.66 |
"""

from ocgm import experiment

SPECS = ("objects_room|shapestacks,gaussian|laplacian|epanechnikov",)


def get_config(spec: str = "objects_room,gaussian"):
    dataset, kernel = experiment.split_spec(spec, SPECS)
    return experiment.default_config(
        "genesis_v2", dataset, kernel=kernel, autoregressive_prior=False
    )
