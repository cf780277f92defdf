"""Unit tests of the imports command, on real stores."""
