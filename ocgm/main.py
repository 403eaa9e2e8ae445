"""Train a model: `python -m ocgm.main --config=FILE --workdir=DIR`, the same as `ocgm train`."""

import sys

from ocgm.commands.dispatcher import main

if __name__ == "__main__":
    main([sys.argv[0], "train", *sys.argv[1:]])
