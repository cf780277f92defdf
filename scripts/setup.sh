#!/bin/sh
# Make or refresh .venv/: find a Python that serves, then hand over to scripts/environment.py.
#
# PYTHON names the one to use. Otherwise the one that .venv was made with goes on serving; else the machine's
# own `python3` is asked first, because its owner chose it, then the versions by name. Each is run, not only
# looked for: a version manager leaves commands on the path that exist and still refuse to start.
set -u
cd "$(dirname "$0")/.." || exit 1

# A .venv that is whole answers by itself, so that the daily case costs one start of Python.
if [ -z "${PYTHON:-}" ] && [ -x .venv/bin/python ]; then
    .venv/bin/python -I scripts/environment.py --is-ready 2>/dev/null && exit 0
fi

# Say in words why a program does not start: its own last words, where it has any.
why_not() {
    if ! command -v "$1" >/dev/null 2>&1; then
        echo "there is no such program"
        return
    fi
    said=$("$1" -c '' 2>&1 >/dev/null)
    code=$?
    said=$(printf '%s\n' "$said" | tail -n 1)
    echo "it does not start (exit code $code${said:+: $said})"
}

found=""
seen=""
if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- .venv/bin/python python3 python3.13 python3.12 python3.11
fi
for candidate in "$@"; do
    version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
        [ -z "${PYTHON:-}" ] || seen=" $candidate cannot be used: $(why_not "$candidate");"
        continue
    }
    case $version in
        3.11 | 3.12 | 3.13) ;;
        *) seen="$seen $candidate is Python $version;"; continue ;;
    esac
    if ! "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        seen="$seen $candidate lacks the venv module (on Debian: apt install python$version-venv);"
        continue
    fi
    found=$candidate
    break
done
[ -n "$found" ] && exec "$found" -I scripts/environment.py

{
    if [ -n "${PYTHON:-}" ]; then
        echo "Python 3.11, 3.12 or 3.13 is needed, and PYTHON names none."
    else
        echo "Python 3.11, 3.12 or 3.13 is needed, and none was found."
    fi
    [ -n "$seen" ] && echo "Found:${seen%;}."
    case $seen in
        *" 3.14"* | *" 3.15"*) echo "The embedded document store has no wheel for 3.14 yet." ;;
    esac
    if [ -n "${PYTHON:-}" ]; then
        echo "Name one of them, or leave PYTHON out and set-up looks for one itself."
    else
        echo "Install one of them, or name it: make setup PYTHON=/path/to/python3.13"
    fi
} >&2
exit 1
