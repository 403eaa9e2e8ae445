"""A folder of the user's own pictures: TFDS builder, and what is in such a folder."""
