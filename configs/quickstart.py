"""GENESIS-V2, small, on Multi-dSprites' black variant at 16x16: the shipped checkpoint's recipe, made to fit minutes.

make quickstart
"""

from ml_collections import ConfigDict

from configs import common, pretrained


def get_config() -> ConfigDict:
    config = pretrained.get_config()
    # Muon learns colours in fewer steps than Adam and parts objects with every seed tried (experiments/README.md).
    config.optimizer = common.muon(learning_rate=5e-4)
    config.optimizer.update(warmup_steps=200, clip_norm=100.0)
    config.objective = common.elbo(beta=0.15, warmup_steps=3_000)
    config.curriculum = ((3_500, "mask_loss", True),)
    config.num_train_steps = 15_000
    config.max_train_minutes = 9.5  # where the machine is slower than 2 laptop cores
    config.log_every_steps = 250
    return config
