"""GQN rooms_ring_camera: TFDS builder."""
