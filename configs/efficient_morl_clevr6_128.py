"""EfficientMORL on all of CLEVR (3 to 10 objects), 128x128, K = 11, a config of the released code.

ocgm train --config=efficient_morl_clevr6_128 --workdir=DIR

The paper has no figure for it. The authors' data file may hold other scenes; its contents are not documented.
"""

from ocgm import experiment


def get_config():
    config = experiment.load_config("efficient_morl_clevr6")
    config.data.update(variant="all", image_size=128)
    config.model.num_slots = 11
    config.curriculum = ((100_000, "refinement_steps", 2),)
    config.evaluation.model_options.refinement_steps = 2
    config.objective.update(goal=-2.1, speedup=5.0)
    return config
