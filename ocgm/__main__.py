"""The command line: `ocgm COMMAND ...`, or `python -m ocgm COMMAND ...`."""

from ocgm.commands.dispatcher import main

if __name__ == "__main__":
    main()
