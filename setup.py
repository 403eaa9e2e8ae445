"""Package metadata; the Makefile runs `pip install -e '.[test,lint]'`."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "ocgm/__init__.py").read_text()).group(1)

setup(
    name="ocgm",
    version=VERSION,
    description="Object-centric generative models in JAX: GENESIS-V2 and its family",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # The configs ship inside the package, where `--config=NAME` finds them.
    packages=[*find_packages(include=["ocgm", "ocgm.*"]), "ocgm.configs"],
    package_dir={"ocgm.configs": "configs"},
    package_data={
        "ocgm": ["py.typed", "pretrained/README.md", "pretrained/*/*", "pretrained/*/*/*"],
        "ocgm.datasets": ["*/README.md", "*/CITATIONS.bib", "*/TAGS.txt"],
    },
    # Lower bounds are the versions the suite passes with.
    install_requires=[
        "absl-py>=2.5",
        "array_record>=0.8.6",
        "chex>=0.1.92",
        "clu>=0.0.12",
        "etils[epath]>=1.10",
        "flax>=0.12.8",
        "google-crc32c>=1.5",  # checksums of TFRecord files, at memory speed
        "grain>=0.2.18",
        "isal>=1.7",  # inflates the published files seven times as fast as zlib
        "importlib_resources",  # tensorflow-datasets uses it and does not declare it
        "jax>=0.10.2",
        "jaxlib>=0.10.2",
        "ml-collections>=1.1",
        "numpy>=2.0",
        "optax>=0.2.8",
        "orbax-checkpoint>=0.12.8",
        "protobuf>=6.31",  # TFRecord files hold protocol buffers
        "pillow>=10.1",  # sized default font for the captions of figures
        "tensorflow-datasets>=4.9.10",  # builders and data sources; TensorFlow itself is not needed
        "tqdm>=4.60",
    ],
    entry_points={"console_scripts": ["ocgm=ocgm.__main__:main"]},
    extras_require={
        "cuda12": ["jax[cuda12]"],
        "tpu": ["jax[tpu]"],
        "disentanglement": ["scikit-learn"],  # trees of the DCI scores; SciPy comes with JAX
        "gcs": ["gcsfs"],  # runs in buckets of Google Cloud Storage
        "hdf5": ["h5py"],  # dSprites' hdf5 file; its npz file needs nothing
        "report": ["matplotlib>=3.8"],  # curves of the HTML report
        "tensorboard": ["tensorboard", "tensorflow-cpu"],  # clu's event-file writer needs both
        "torch": ["torch>=2.6"],  # to read the authors' .pth files
        "safetensors": ["safetensors"],
        "docs": ["sphinx>=7", "myst-parser", "furo", "sphinx-copybutton", "sphinx-design"],
        "lint": ["mypy", "ruff"],
        "test": [
            "gcp-storage-emulator",
            "gcsfs",
            "h5py",
            "matplotlib>=3.8",
            "pytest>=8",
            "pytest-xdist>=3.7",
            "safetensors",
            "scikit-learn",
        ],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
    ],
)
