#!/usr/bin/env bash
# Latency beside ONNX Runtime, one table row a model and number of threads.
#
#   DRAWKNIFE_ORT=/path/to/libonnxruntime.so docs/results/bench.sh MODEL...
#
# MODEL is a file or zoo:NAME. Both engines run in turn in one process.
set -euo pipefail
: "${DRAWKNIFE_ORT:?set it to the path of libonnxruntime.so}"
cd "$(dirname "$0")/../.."
go build -o out/drawknife ./cmd/drawknife
echo "| model | threads | drawknife min / median ms | ONNX Runtime min / median ms | ratio of medians | of minima |"
echo "|---|---|---|---|---|---|"
for model in "$@"; do
  for threads in 1 2; do
    out/drawknife bench "$model" --threads "$threads" --ort "$DRAWKNIFE_ORT" --json -q |
      awk -v m="$(basename "$model" .onnx)" -v t="$threads" '
        /"min_ms"/    { gsub(/[^0-9.]/, "", $2); min[++n] = $2 }
        /"median_ms"/ { gsub(/[^0-9.]/, "", $2); med[++k] = $2 }
        END { printf "| %s | %d | %.3f / %.3f | %.3f / %.3f | %.2f | %.2f |\n", m, t, min[1], med[1], min[2], med[2], med[2]/med[1], min[2]/min[1] }'
  done
done
