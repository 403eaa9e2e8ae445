"""One folder for each dataset, with its TFDS builder; `NAME_synthetic` is generated."""
