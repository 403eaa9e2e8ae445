"""Studies and benchmarks: run, not imported."""
