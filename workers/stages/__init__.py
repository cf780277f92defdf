"""The stages of an import as plain functions; every effect arrives as an argument."""
