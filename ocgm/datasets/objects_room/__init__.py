"""Objects Room (DeepMind), published."""
