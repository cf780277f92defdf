"""A disposable child process in which hostile pictures are decoded."""
