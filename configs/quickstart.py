"""GENESIS-V2, small, on Multi-dSprites' vivid variant at 16x16: objects in minutes.

make quickstart
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.genesis_v2("multi_dsprites")
    config.data.image_size = 16
    # The decoder starts at the background's colour, where its sigmoid is steep; on black colours take longer.
    config.data.variant = "vivid"
    config.model.feature_dim = 32
    # Too small for a whole scene, so that objects have to be shared out among the slots.
    config.model.latent_size = 16
    # Narrower, and two slots of complementary colours share a sprite, each right in some channels; wider, and slots
    # part late or not at all.
    config.model.component_sigma = 0.35
    # With coordinates in the embeddings the slots share the picture by place; without, embeddings spread further and
    # need a wider kernel.
    config.model.semi_convolutional = False
    config.model.initial_kernel_sigma = 1.0
    # The KL pressure comes when there is something to compress, and makes each slot keep to one object. Once slots have
    # parted, the mask loss gives the attention what the decoder has found; before, it does harm.
    config.objective = common.elbo_schedule((0, 0.0), (2_000, 0.115))
    config.curriculum = ((2_000, "mask_loss", True),)
    # Muon learns colours in fewer steps than Adam (experiments/README.md).
    config.optimizer = common.muon(learning_rate=5e-4)
    config.optimizer.update(
        warmup_steps=200, decay="cosine", decay_begin=3_500, decay_steps=5_000, clip_norm=100.0
    )
    config.batch_size = 16
    config.num_train_steps = 5_000
    config.max_train_minutes = 9.5  # where the machine is slower than 2 laptop cores
    config.log_every_steps = 250
    config.evaluation.every_steps = 500
    config.checkpoint.every_steps = 1_000
    return config
