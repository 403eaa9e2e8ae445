"""APC 2016 (MIT-Princeton): TFDS builder."""
