#!/bin/sh
# Write dist/import-api.cdx.json, the bill of materials (CycloneDX) of what production installs, from its lock.
# $1 is the Python of .venv. The tool is no dependency of ours: it comes and goes with this run.
set -eu
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "Bringing the tool." >&2
"$1" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet cyclonedx-bom
mkdir -p dist
# Reproducible: the same lock gives the same file.
"$folder/venv/bin/cyclonedx-py" requirements --pyproject pyproject.toml --output-reproducible --output-format JSON \
    --output-file dist/import-api.cdx.json requirements-production.lock
echo "Written: dist/import-api.cdx.json" >&2
