#!/bin/sh
# See gpu.py. The JSON goes to stdout and to .bench/gpu.json, or where --out says.
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-$( [ -x .venv/bin/python ] && echo .venv/bin/python || echo python )}
PYTHONPATH="benchmarks:$(ls -d "$PWD" "$PWD"/plugins/diffinv-* | tr '\n' ':')$PYTHONPATH" \
    exec "$python" benchmarks/gpu.py --out .bench/gpu.json "$@"
