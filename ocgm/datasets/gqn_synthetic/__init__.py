"""GQN look-alike: TFDS builder and rooms."""
