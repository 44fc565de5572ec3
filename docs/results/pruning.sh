#!/usr/bin/env bash
# Every pruning method at the same cost and the same fine-tuning: one table row
# each. Rows that are in OUT already are not made again, so that an interrupted
# run goes on.
#
#   DRAWKNIFE_DATA=DIR docs/results/pruning.sh [channels|weights|tickets|layers] ...
#
# DIR is the folder of real images and pretrained models that the tests use.
# MODEL (cifar10/resnet20.onnx below its models/), PRESET (its preprocessing),
# EPOCHS (8), MACS (0.55, the share to keep) and OUT (out/pruning) may be set;
# STEPS, LIMIT and ONLY (a pattern of rows) try the script on little. With
# DRAWKNIFE_ORT=/path/to/libonnxruntime.so ONNX Runtime is timed too.
set -euo pipefail
: "${DRAWKNIFE_DATA:?set it to the folder that holds models/models.json}"
cd "$(dirname "$0")/../.."
go build -o out/drawknife ./cmd/drawknife
MODEL=${MODEL:-cifar10/resnet20.onnx} PRESET=${PRESET:-imagenet} EPOCHS=${EPOCHS:-8} MACS=${MACS:-0.55} OUT=${OUT:-out/pruning} ONLY=${ONLY:-*}
model=$DRAWKNIFE_DATA/models/$MODEL
common=(--data "cifar10:$DRAWKNIFE_DATA/cifar10" --preset "$PRESET" --limit "${LIMIT:-0}" --steps "${STEPS:-0}" --resume --json)
mkdir -p "$OUT"
row() { # name, flags
  local name=$1 file
  shift
  # shellcheck disable=SC2053
  [[ $name == $ONLY ]] || return 0
  file=$OUT/$(basename "$MODEL" .onnx)-$name
  if [[ ! -s $file.json ]]; then
    out/drawknife prune "$model" "$@" "${common[@]}" -o "$file.onnx" > "$file.json.part" 2> "$file.log"
    mv "$file.json.part" "$file.json"
  fi
  if [[ -n ${DRAWKNIFE_ORT:-} && ! -s $file.bench ]]; then
    for m in "$model" "$file.onnx"; do out/drawknife --threads 1 bench "$m" --ort "$DRAWKNIFE_ORT" --json -q; done > "$file.bench"
  fi
  python3 - "$name" "$file.json" "$file.bench" <<'P'
import json, os, sys
name, r, bench = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
b, a = r["before"], r["after"]
cut = lambda k: f"{100 * (1 - a[k] / b[k]):.1f} %"
zero = r["report"].get("sparsity")
ort = "–"
if os.path.exists(bench):
    text, peers, d = open(bench).read(), [], json.JSONDecoder()
    while text.strip():
        v, end = d.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        peers.append(v["peers"][0]["median_ms"])
    ort = f"{peers[0]:.3f} → {peers[1]:.3f}"
print(f"| {name} | {cut('macs')} | {cut('params')} | {'–' if zero is None else f'{100 * zero:.1f} %'} | {b['top1']:.2f} → {a['top1']:.2f} | "
      f"{b['median_ms_1_thread']:.3f} → {a['median_ms_1_thread']:.3f} | {ort} | {r['seconds'] / 60:.1f} |", flush=True)
P
}
echo "| method | MACs cut | parameters cut | zeros | top-1 | ms, 1 thread | ms in ONNX Runtime | minutes |"
echo "|---|---|---|---|---|---|---|---|"
for part in "${@:-channels}"; do
  case $part in
  channels)
    for m in random l1 l2 fpgm depgraph bn cluster taylor apoz hrank nisp thinet; do
      row "$m" --method "$m" --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
    done
    for a in global lamp cost sensitivity; do
      row "taylor-$a" --method taylor --allocation "$a" --macs "$MACS" --round-to 1 --epochs "$EPOCHS"
    done
    row l1-iterative --method l1 --schedule iterative:rounds=4 --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
    for s in sfp sfp:score=fpgm slimming:lambda=1e-5 group-lasso cluster depgraph; do
      row "train-${s//[:=]/-}" --sparsify "$s" --sparsify-epochs $((EPOCHS / 2)) --macs "$MACS" --round-to 1 --inner-only --epochs $((EPOCHS - EPOCHS / 2))
    done
    row scratch-b --method l1 --retrain scratch-b --lr 0.1 --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
    ;;
  weights)
    for s in 0.8 0.9 0.95; do
      for m in random magnitude snip obd obs woodfisher obc energy-aware dynamic movement gsm frequency; do
        row "$m-$s" --method "$m" --sparsity "$s" --epochs "$EPOCHS"
      done
      row "gmm-$s" --allocation gmm --sparsity "$s" --epochs "$EPOCHS"
      row "lamp-$s" --allocation lamp --sparsity "$s" --epochs "$EPOCHS"
      row "iterative-$s" --schedule iterative:rounds=4 --sparsity "$s" --epochs "$EPOCHS"
      row "gradual-$s" --schedule gradual --sparsity "$s" --epochs "$EPOCHS"
      row "block4-$s" --pattern block4 --sparsity "$s" --epochs "$EPOCHS"
    done
    row 2-of-4 --pattern 2:4 --epochs "$EPOCHS"
    row 1-of-4 --pattern 1:4 --epochs "$EPOCHS"
    ;;
  tickets)
    for s in 0.8 0.95; do
      for c in none reinit mask; do
        row "lottery-$c-$s" --schedule "lottery:rounds=5,control=$c" --sparsity "$s" --epochs "$EPOCHS" --lr 0.05
      done
    done
    ;;
  layers)
    for m in norm bn taylor output imprint probe; do
      row "blocks-$m" --method "$m" --blocks 2 --epochs "$EPOCHS"
    done
    ;;
  *) echo "parts are channels, weights, tickets, layers; not $part" >&2; exit 2 ;;
  esac
done
