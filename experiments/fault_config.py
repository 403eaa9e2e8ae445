"""The tiny experiment that experiments/faults.py tries to break."""

from ocgm import experiment

STEPS = 24


def get_config():
    config = experiment.default_config("genesis_v2", "multi_dsprites", feature_dim=8)
    config.update_from_flattened_dict(
        {
            "batch_size": 4,
            "num_train_steps": STEPS,
            "log_every_steps": 1,
            "model.num_slots": 3,
            "data.image_size": 16,
            "data.num_examples": (48, 16, 16),
            "optimizer.learning_rate": 1e-3,
            "evaluation.every_steps": STEPS // 2,
            "evaluation.num_images": 8,
            "evaluation.batch_size": 4,
            "evaluation.num_figure_images": 2,
            "checkpoint.every_steps": 4,
            "checkpoint.keep": 100,
            "checkpoint.keep_every_steps": 0,
        }
    )
    return config
