"""The commands, one module each: flags and printing only."""
