"""GQN rooms_ring_camera, published."""
