#!/bin/sh
# Makes $VENV for $PYTHON with the pinned requirements and this package; brings uv from PyPI where it is missing.
set -eu

if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    uv=.local/bootstrap/bin/uv
    if [ ! -x "$uv" ]; then
        echo "Setting up uv in .local/bootstrap ..."
        rm -rf .local/bootstrap
        # Debian ships python3 without ensurepip: pip alone does as well where venv cannot be made.
        if "$PYTHON" -m venv .local/bootstrap >/dev/null 2>&1; then
            .local/bootstrap/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
        elif "$PYTHON" -m pip --version >/dev/null 2>&1; then
            rm -rf .local/bootstrap
            "$PYTHON" -m pip install --quiet --disable-pip-version-check --require-hashes --target .local/bootstrap -r requirements/bootstrap.txt
        else
            echo "$PYTHON has neither venv nor pip. Install one (on Debian: apt-get install python3-venv), or put uv on PATH." >&2
            exit 1
        fi
    fi
fi

echo "Setting up $VENV with $("$PYTHON" --version) ..."
# A leftover environment of another Python is replaced; one of this Python is brought up to date.
want=$("$PYTHON" -c 'import sys; print(sys.version_info[:2])')
have=$("$VENV/bin/python" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null || true)
if [ "$want" != "$have" ]; then
    rm -rf "$VENV"
    "$uv" venv --quiet --python "$PYTHON" "$VENV"
fi
"$uv" pip sync --quiet --require-hashes --python "$VENV/bin/python" requirements/dev.txt
"$uv" pip install --quiet --no-deps --no-build-isolation --python "$VENV/bin/python" --editable .
