"""The product under a seeded storm of faults, while imports are posted: `make chaos`, `python -m tests.chaos`."""
