"""GENESIS-V2, small, on Multi-dSprites' vivid variant at 16x16: objects in minutes on a laptop.

ocgm train --config=quickstart --workdir=DIR

`make quickstart` trains it, at most 10 minutes on two CPU cores, and writes a report. Test ARI-FG of three seeds: 0.83
to 0.85. This variant is our own, so the figure compares with no paper's.
"""

from ocgm import experiment
from ocgm.training import objectives, optimizers


def get_config():
    config = experiment.default_config("genesis_v2", "multi_dsprites")
    config.data.image_size = 16
    # The decoder starts at the background's colour, where its sigmoid is steep; on black, colours take longer.
    config.data.variant = "vivid"
    config.model.feature_dim = 32
    # Too small for a whole scene, so that the slots have to divide the objects among them.
    config.model.latent_size = 16
    # Narrower, and two slots of complementary colours share a sprite, each correct in some channels; wider, and slots
    # separate late or not at all.
    config.model.component_sigma = 0.35
    # With coordinates in the embeddings the slots divide the image by position; without, embeddings spread further and
    # need a wider kernel.
    config.model.semi_convolutional = False
    config.model.initial_kernel_sigma = 1.0
    # The KL pressure begins when there is something to compress, and makes each slot keep to one object. Once slots
    # have separated, the mask loss passes on to the attention what the decoder has found; before, it does harm.
    config.objective = objectives.default_config("elbo_schedule", betas=((0, 0.0), (2_000, 0.115)))
    config.curriculum = ((2_000, "mask_loss", True),)
    # Muon learns colours in fewer steps than Adam.
    config.optimizer = optimizers.default_config(
        "muon",
        warmup_steps=200,
        decay="cosine",
        decay_begin=3_500,
        decay_steps=5_000,
        clip_norm=100.0,
    )
    config.batch_size = 16
    config.num_train_steps = 5_000
    config.max_train_minutes = 9.5  # for machines slower than two laptop cores
    config.log_every_steps = 250
    config.evaluation.every_steps = 500
    config.checkpoint.every_steps = 1_000
    return config
