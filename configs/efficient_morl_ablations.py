"""EfficientMORL's ablations: table 2, and figures 3 (refinement steps) and 8 (stochastic layers).

ocgm train --config=efficient_morl_ablations:clevr6,no_dual_gru --workdir=DIR

Table 2, ARI-FG, MSE x 1e-4, KL. CLEVR6 after 50,000 steps, ten seeds: no_dual_gru 79.7, 8.1, 1357.4; no_geco 79.9, 9.9,
177.5; full 82.4, 8.3, 692.7. Tetrominoes, five seeds: bottom_up 85.7, 17.1, -; reversed 86.9, 22.1, -; full 97.9, 7.0,
98.5; no_geco 82.2, 68.8, 45.9 (the paper labels this row "with GECO"; its text implies the opposite).

The paper names neither the dataset of figure 3 nor the number of steps of figure 8; CLEVR6 and 50,000 are assumptions.
"""

from ocgm import experiment
from ocgm.training import objectives

SPECS = (
    "clevr6,full|no_dual_gru|no_geco|deconv_decoder",
    "clevr6,refinement_steps_0|refinement_steps_1|refinement_steps_3",
    "clevr6,layers_0|layers_1|layers_2|layers_3|layers_4",
    "tetrominoes,full|bottom_up|reversed|no_geco",
)


def get_config(spec: str = "clevr6,full"):
    dataset, change = experiment.split_spec(spec, SPECS)
    config = experiment.load_config(f"efficient_morl_{dataset}")
    if dataset == "clevr6":
        config.num_train_steps = 50_000
        config.curriculum = ()  # that of the paper begins later
        config.evaluation.model_options.refinement_steps = 3
    kind, _, number = change.rpartition("_")
    if change == "no_dual_gru":
        config.model.dual_gru = False
    elif change == "no_geco":
        config.objective = objectives.default_config("elbo", beta=1.0)
    elif change == "deconv_decoder":
        config.model.decoder = "deconv"
    elif change in ("bottom_up", "reversed"):
        config.model.prior = change
    elif kind == "refinement_steps":
        config.model.refinement_steps = int(number)
        config.evaluation.model_options.refinement_steps = int(number)
    elif kind == "layers":
        config.model.stochastic_layers = int(number)
    return config
