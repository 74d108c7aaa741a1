#!/usr/bin/env bash
# How long a step takes on any number of ranks, by a model whose assumptions are in docs/cluster.md.
#
#   launch/cluster_model.sh --scaling DIR [--output FILE]
#   launch/cluster_model.sh --project [--output FILE]
#
#   --scaling  fits the model to what scaling.sh measured in DIR, predicts each cell from the others, and steps on more ranks
#   --project  8 to 1,024 GPUs for shapes of 1, 7 and 70 billion parameters, from stated speeds: the table of docs/cluster.md
#   --output   also writes it there, as JSON
set -euo pipefail
# shellcheck source=launch/common.sh
source "$(dirname "$0")/common.sh"
if [[ "${1:-}" == -h || "${1:-}" == --help ]]; then show_help; exit 0; fi
python="$ROOT/.venv/bin/python"
[[ -x "$python" ]] || python=python3
exec "$python" -B "$ROOT/launch/scaling/cluster.py" "$@"
