#!/usr/bin/env bash
# Installs the peers that `make bench-models` compares with, each in an environment of its own under .bench-peers:
# LiteLLM's proxy (PyPI) and Portkey's gateway (npm). Nothing of theirs is part of Aspora. Takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .bench-peers/portkey
# 1.82.7 and 1.82.8 were malicious; this one is not.
python3 -m venv .bench-peers/litellm
.bench-peers/litellm/bin/pip install --quiet --disable-pip-version-check 'litellm[proxy]==1.106.0'
if command -v npm >/dev/null 2>&1; then
  npm install --silent --no-fund --no-audit --ignore-scripts --prefix .bench-peers/portkey @portkey-ai/gateway
else
  echo "npm is not installed: Portkey's gateway is left out" >&2
fi
