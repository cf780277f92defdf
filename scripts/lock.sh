#!/bin/sh
# Write both locks from pyproject.toml. $1 is the Python of .venv.
#
#   requirements.lock             everything, extras included: development, tests, the sandbox
#   requirements-production.lock  what the image holds: the same versions without any extra
#
# Versions already locked stay unless UPGRADE is set. Both serve Python 3.11 to 3.13 (markers where they
# differ) and name no index, so each machine uses the one it is configured for. The tool that resolves is
# itself no dependency of ours: it comes and goes with this run.
set -eu
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "Bringing the resolver." >&2
"$1" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet uv

compile() {
    "$folder/venv/bin/uv" pip compile pyproject.toml --universal --generate-hashes \
        --python-version 3.11 --no-annotate --no-emit-index-url --no-emit-find-links --no-header --quiet "$@"
}

compile --all-extras ${UPGRADE:+--upgrade} --output-file requirements.lock
compile --constraints requirements.lock --output-file requirements-production.lock
