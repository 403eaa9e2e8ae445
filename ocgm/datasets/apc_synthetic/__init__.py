"""APC 2016 look-alike: TFDS builder, objects and scenes."""
