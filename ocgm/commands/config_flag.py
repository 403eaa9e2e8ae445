"""The flags --config and --config.FIELD: configs by name or file, with some fields changed."""

import re
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from ocgm.commands import cli
from ocgm.errors import ConfigError, did_you_mean

flags.disclaim_key_flags()  # The flag belongs to the command; --help prints it there.

_NAME = "config"


class Config:
    """The flag --config, whose value is the config that it names, with the fields that --config.FIELD changed.

    Args:
      default: the config where the flag is not given; without a default it must be given.
    """

    def __init__(self, default: str = ""):
        self._parser = _Parser()
        self._holder = config_flags.DEFINE_config_file(
            _NAME,
            None,
            "Config: a file FILE.py[:SPEC], or NAME[:SPEC] of a config that ships with ocgm."
            " --config.FIELD=VALUE changes a field.",
        )
        # The library's own parser reads files only, and ends in tracebacks of theirs.
        flags.FLAGS[_NAME].parser = self._parser
        if default:
            cli.guarded(flags.set_default, self._holder, default)
        else:
            flags.mark_flag_as_required(_NAME)

    @property
    def value(self) -> ConfigDict:
        """The config.

        Raises:
          UserError: the dataset does not exist, or a number is outside of its range.
        """
        from ocgm import experiment  # It imports JAX, and --help does not need it.
        from ocgm.training import config_ranges

        config = self._holder.value
        changed = config_flags.get_override_values(flags.FLAGS[_NAME])
        if "data.name" in changed:
            experiment.change_dataset(config, self._parser.dataset, changed)
        config_ranges.check(config)
        return config


class _Parser(flags.ArgumentParser):
    """Reads the config that --config names.

    Attributes:
      dataset: name of the dataset in the config, before --config.data.name.
    """

    dataset: str

    def parse(self, argument: str) -> ConfigDict:
        """Return the config, after a check of the fields that the command line changes."""
        from ocgm import experiment

        config = experiment.load_config(argument)
        self.dataset = config.data.name
        # As ml_collections does, which gets these flags from nowhere else.
        for argument in sys.argv:
            if match := re.match(rf"--?(?:no)?{_NAME}\.([^=]+)", argument):
                _check_field(config, match[1])
        return config

    def help_text(self, argv: Sequence[str]) -> str:
        """Return the fields of the config that the arguments name, or of a default config, one a line.

        Raises:
          ConfigError: there is no such config.
        """
        from ocgm import experiment

        match = re.search(rf"\0--?{_NAME}[=\0]([^\0]+)", "\0".join(argv))
        if match:
            name = match[1]
        else:
            name = flags.FLAGS[_NAME].default_unparsed or "genesis_v2_multi_dsprites"
        lines = [f"fields of --config={name} and their values:"]
        for field, value in experiment.load_config(name).to_dict().items():
            if isinstance(value, dict):
                lines += [f"  --{_NAME}.{field}.{part}={inner}" for part, inner in value.items()]
            else:
                lines.append(f"  --{_NAME}.{field}={value}")
        return "\n".join(lines)


def _check_field(config: ConfigDict, path: str) -> None:
    """Check that a config has a field.

    Args:
      config: the config.
      path: name of the field, such as "model.num_slots".

    Raises:
      ConfigError: it does not.
    """
    parent: object = config
    above = _NAME
    for name in path.split("."):
        if not isinstance(parent, ConfigDict):
            raise ConfigError(f"--{_NAME}.{path}: {above} is {parent!r} and has no fields.")
        if name not in parent:
            near = did_you_mean(name, parent)
            raise ConfigError(f"--{_NAME}.{path}: {above} has no field {name!r}{near}")
        parent, above = parent[name], f"{above}.{name}"
