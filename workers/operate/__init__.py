"""The `imports` command: a group of verbs a file."""
