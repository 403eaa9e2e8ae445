"""The small GENESIS-V2 that ships with the package: Multi-dSprites' black variant at 16x16.

python -m ocgm.main --config=configs/pretrained.py --workdir=DIR
python -m ocgm.export --workdir=DIR --output=ocgm/pretrained/genesis_v2_multi_dsprites
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    config = common.genesis_v2("multi_dsprites")
    config.data.image_size = 16
    config.data.variant = "black"
    config.model.feature_dim = 32
    # Too small for a whole scene, so that objects have to be shared out among the slots.
    config.model.latent_size = 16
    config.model.component_sigma = 0.3
    # Without coordinates the background has one embedding and falls to one slot; the kernel has to be wide for that.
    config.model.semi_convolutional = False
    config.model.initial_kernel_sigma = 4.0
    # The KL pressure comes late enough to leave something to compress, and makes each slot keep to one object. Only
    # then does the mask loss help: it gives the attention the outlines that the decoder has found. More pressure once
    # colours are known, from about step 15,000 on, leaves fewer sprites split over two slots.
    config.objective = common.elbo_schedule((0, 0.0), (2_000, 0.15), (18_000, 0.15), (28_000, 0.3))
    config.curriculum = ((3_500, "mask_loss", True),)
    config.batch_size = 16
    config.num_train_steps = 50_000
    config.optimizer.update(
        learning_rate=5e-4,
        warmup_steps=200,
        decay="cosine",
        decay_begin=40_000,
        decay_steps=50_000,
        clip_norm=100.0,
    )
    config.evaluation.every_steps = 1_000
    config.checkpoint.every_steps = 1_000
    return config
