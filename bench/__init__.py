"""Measurements of the product, each against what others would use; see README.md."""
