"""EfficientMORL on Tetrominoes, 35x35, K = 4, with three refinement steps throughout.

ocgm train --config=efficient_morl_tetrominoes --workdir=DIR

EfficientMORL paper, table 1 (5 seeds): ARI-FG 98.2 +- 1.8. Released checkpoint: ARI-FG 99.7, MSE 2.76e-4, KL 70.7, 5
hours on 2 RTX 2080 Ti, each with 16 images.
"""

from ocgm import experiment, protocols
from ocgm.training import objectives


def get_config():
    config = experiment.default_config(
        "efficient_morl",
        "tetrominoes",
        latent_size=32,
        likelihood="gaussian",
        component_sigma=0.3,
        decoder="small",
    )
    protocols.efficient_morl(config)
    config.model.train_gradient_batch = 16
    config.num_train_steps = 200_000
    config.curriculum = ()
    config.evaluation.model_options.refinement_steps = 3
    config.objective = objectives.default_config("error_weight_geco", goal=-1.224)
    return config
