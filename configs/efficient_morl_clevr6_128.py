"""EfficientMORL on CLEVR, 128x128, K = 11, as the released code has it beside the paper.

python -m ocgm.main --config=configs/efficient_morl_clevr6_128.py --workdir=DIR

No number was published.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.efficient_morl_clevr6()
    config.data.update(variant="all", image_size=128)
    config.model.num_slots = 11
    config.curriculum = ((100_000, "refinement_steps", 2),)
    config.evaluation.model_options.refinement_steps = 2
    config.objective = common.error_weight_geco(goal=-2.1, speedup=5.0)
    return config
