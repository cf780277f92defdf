"""The words used in logs and metrics."""
