"""Pieces that the experiments share. A config is plain data: numbers, strings, tuples."""

from ml_collections import ConfigDict

# (image side, slots) of each dataset in the GENESIS papers.
DATASETS = {"multi_dsprites": (64, 5), "objects_room": (64, 7), "shapestacks": (64, 9)}


def data(name: str) -> ConfigDict:
    """A dataset at the image side that the papers use."""
    image_size, _ = DATASETS[name]
    return ConfigDict(
        {
            "name": name,
            "variant": "",  # "" means the dataset's first; multi_dsprites: "plain" or "unique" colours
            "image_size": image_size,
            "data_dir": "",  # "" means $OCGM_DATA_DIR, or ~/tensorflow_datasets
            "sprites_path": "",  # dSprites npz; "" renders the sprites analytically
            "num_examples": (),  # (train, validation, test); () means all
        }
    )


def geco(goal: float = 0.5655) -> ConfigDict:
    """GECO with the authors' settings; goal in nats per pixel and channel, step size per nat at 64x64."""
    return ConfigDict(
        {
            "name": "geco",
            "goal": goal,
            "step_size": 1e-5,
            "initial_beta": 1.0,
            "decay": 0.99,
            "speedup": 10.0,
            "min_beta": 1e-10,
        }
    )


def elbo(beta: float = 0.5, warmup_steps: int = 0) -> ConfigDict:
    """Fixed beta, or a linear warm-up to it."""
    return ConfigDict({"name": "elbo", "beta": beta, "warmup_steps": warmup_steps})


def adam(learning_rate: float = 1e-4) -> ConfigDict:
    """Adam at a constant rate; the authors use neither warm-up, decay nor clipping."""
    return ConfigDict(
        {
            "name": "adam",
            "learning_rate": learning_rate,
            "warmup_steps": 0,
            "decay_steps": 0,  # cosine to zero at this step; 0 means no decay
            "clip_norm": 0.0,  # 0 means no clipping
        }
    )


def experiment(model: ConfigDict, data: ConfigDict) -> ConfigDict:
    """The training protocol of the GENESIS papers: GECO, Adam, batch 32, 500,000 steps."""
    # One source for the image side: --config.data.image_size sets the model's too.
    model.image_size = data.get_ref("image_size")
    return ConfigDict(
        {
            "seed": 0,
            "batch_size": 32,
            "num_train_steps": 500_000,
            "max_train_minutes": 0.0,  # stop, evaluate and save after so long; 0 means never
            "model": model,
            "data": data,
            "objective": geco(),
            "optimizer": adam(),
            "evaluation": {
                "every_steps": 5_000,
                "num_images": 320,
                "batch_size": 32,
                "num_figure_images": 8,
            },
            "checkpoint": {"every_steps": 5_000, "keep": 3, "keep_every_steps": 125_000},
            "log_every_steps": 500,
            "mesh": {"data": -1, "fsdp": 1},
        }
    )


def genesis_v2(dataset: str) -> ConfigDict:
    """GENESIS-V2 at paper width on a dataset of the papers."""
    _, num_slots = DATASETS[dataset]
    model = ConfigDict(
        {
            "name": "genesis_v2",
            "num_slots": num_slots,
            "feature_dim": 64,
            "kernel": "gaussian",
            "semi_convolutional": True,
            "autoregressive_prior": True,
            "mask_loss": False,
            "detach_mask_loss_target": True,
            "component_sigma": 0.7,
            "dtype": "float32",
        }
    )
    return experiment(model, data(dataset))
