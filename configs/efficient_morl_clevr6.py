"""EfficientMORL on CLEVR6, 96x96, K = 7.

ocgm train --config=efficient_morl_clevr6 --workdir=DIR

EfficientMORL paper, table 1 (5 seeds): ARI-FG 96.2 +- 1.6. Released checkpoint: ARI-FG 98.05, MSE 3.64e-4, KL 187.1, 17
hours on 8 RTX 2080 Ti. Scenes with 7 to 10 objects: ocgm evaluate --workdir=DIR --variant=clevr10 --num_slots=11.
"""

from ocgm import experiment, protocols
from ocgm.training import objectives


def get_config():
    config = experiment.default_config("efficient_morl", "clevr_with_masks")
    config.data.update(variant="clevr6", protocol="efficient_morl", image_size=96)
    protocols.efficient_morl(config)
    config.objective = objectives.default_config("error_weight_geco", goal=-2.206)
    return config
