"""GQN rooms_ring_camera, synthetic."""
