"""Training protocols of papers other than GENESIS's: each function changes an experiment config in place.

`experiment.default_config` is the protocol of the GENESIS papers.
"""

from ml_collections import ConfigDict

from ocgm.training import objectives, optimizers


def monet(config: ConfigDict) -> None:
    """Set the protocol of MONet (Burgess et al. 2019): standard deviations, fixed beta, RMSprop, batch 64."""
    config.model.update(background_sigma=0.09, component_sigma=0.11)
    config.objective = objectives.default_config("elbo", beta=0.5)
    config.optimizer = optimizers.default_config("rmsprop")
    config.batch_size = 64
    config.num_train_steps = 1_000_000


def slot_attention(config: ConfigDict, decay_begin: int = 0) -> None:
    """Set the protocol of Slot Attention (Locatello et al. 2020) and Slot MLP: batch 64, no KL, a halving rate."""
    config.batch_size = 64
    config.objective = objectives.default_config("elbo", beta=0.0)
    _halve_learning_rate(config, decay_begin)


def efficient_morl(config: ConfigDict) -> None:
    """Set the protocol of EfficientMORL (Emami et al. 2021, appendix F), with three refinement steps, later one."""
    config.seed = 1
    config.num_train_steps = 300_000
    # Refinement takes gradients of batch means; the authors' eight processes have four images each.
    config.model.update(train_gradient_batch=4, eval_gradient_batch=1)
    config.curriculum = ((100_000, "refinement_steps", 1),)
    config.evaluation.model_options = ConfigDict({"refinement_steps": 1})
    config.objective = objectives.default_config("elbo", beta=1.0)
    _halve_learning_rate(config, begin=10_000)
    config.optimizer.clip_norm = 5.0


def iodine(config: ConfigDict, batch_size: int, learning_rate: float) -> None:
    """Set the protocol of IODINE (Greff et al. 2019): an Adam whose rate falls tenfold over 1,000,000 steps."""
    config.num_train_steps = 1_000_000
    config.batch_size = batch_size
    config.model.remat = True  # memory does not grow with the number of refinement steps
    config.objective = objectives.default_config("elbo", beta=1.0)
    config.optimizer.update(
        learning_rate=learning_rate,
        b1=0.95,
        clip_norm=5.0,
        decay="exponential",
        decay_rate=0.1,
        decay_steps=1_000_000,
    )


def _halve_learning_rate(config: ConfigDict, begin: int) -> None:
    """Set Slot Attention's rate: 4e-4 after a warm-up of 10,000 steps, halved every 100,000 from step `begin` on."""
    config.optimizer.update(
        learning_rate=4e-4,
        warmup_steps=10_000,
        decay="exponential",
        decay_rate=0.5,
        decay_steps=100_000,
        decay_begin=begin,
    )
