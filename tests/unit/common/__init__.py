"""Unit tests of the shared ground."""
