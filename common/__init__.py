"""The shared ground: only what both the door and the workers must agree on."""
