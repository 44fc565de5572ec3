#!/usr/bin/env bash
# Every pruning method at the same cost and the same fine-tuning: one table row
# each. Rows that are in OUT already are not made again, so that an interrupted
# run goes on.
#
#   DRAWKNIFE_DATA=DIR docs/results/pruning.sh [channels|weights|tickets|layers|dense] ...
#   DRAWKNIFE_DATA=DIR docs/results/pruning.sh bench [channels|...] ...
#
# The first form makes the networks, which may go on while the machine does
# other things too. The second measures their latency in one pass, which wants
# a quiet machine, and prints the rows that there are: each network beside the
# original, one after the other, on one thread; with
# DRAWKNIFE_ORT=/path/to/libonnxruntime.so ONNX Runtime takes turns with our
# engine. Measurements are kept too, until a network is made anew.
#
# DIR is the folder of real images and pretrained models that the tests use.
# MODEL (cifar10/resnet20.onnx below its models/), PRESET (its preprocessing),
# EPOCHS (8), MACS (0.55, the share to keep) and OUT (out/pruning) may be set;
# STEPS, LIMIT and ONLY (a pattern of rows) try the script on little.
set -euo pipefail
: "${DRAWKNIFE_DATA:?set it to the folder that holds models/models.json}"
cd "$(dirname "$0")/../.."
go build -o out/drawknife ./cmd/drawknife
MODEL=${MODEL:-cifar10/resnet20.onnx} PRESET=${PRESET:-imagenet} EPOCHS=${EPOCHS:-8} MACS=${MACS:-0.55} OUT=${OUT:-out/pruning} ONLY=${ONLY:-*}
model=$DRAWKNIFE_DATA/models/$MODEL
common=(--data "cifar10:$DRAWKNIFE_DATA/cifar10" --preset "$PRESET" --limit "${LIMIT:-0}" --steps "${STEPS:-0}" --resume --json)
mkdir -p "$OUT"
mode=make
if [[ ${1:-} == bench ]]; then
  mode=bench
  shift
  [[ $# -gt 0 ]] || set -- channels weights tickets layers dense
fi

row() { # name, flags
  local name=$1 file
  shift
  # shellcheck disable=SC2053
  [[ $name == $ONLY ]] || return 0
  file=$OUT/$(basename "$MODEL" .onnx)-$name
  case $mode in
  make)
    if [[ ! -s $file.json ]]; then
      out/drawknife prune "$model" "$@" "${common[@]}" -o "$file.onnx" > "$file.json.part" 2> "$file.log"
      mv "$file.json.part" "$file.json"
    fi
    ;;
  bench)
    [[ -s $file.json && -s $file.onnx ]] || return 0
    if [[ ! -s $file.bench || $file.onnx -nt $file.bench ]]; then
      for m in "$model" "$file.onnx" "${file}_dense.onnx"; do
        [[ ! -e $m ]] || out/drawknife --threads 1 bench "$m" ${DRAWKNIFE_ORT:+--ort "$DRAWKNIFE_ORT"} --json -q
      done > "$file.bench.part"
      mv "$file.bench.part" "$file.bench"
    fi
    ;;
  esac
  if [[ -n $part ]]; then # its first row
    echo
    echo "| $part | MACs cut | parameters cut | zeros | top-1 | ms, 1 thread | ms in ONNX Runtime | minutes |"
    echo "|---|---|---|---|---|---|---|---|"
    part=
  fi
  python3 - "$name" "$file.json" "$file.bench" <<'P'
import json, os, sys
name, r, bench = sys.argv[1], json.load(open(sys.argv[2])), sys.argv[3]
runs = []
if os.path.exists(bench):
    text, d = open(bench).read().strip(), json.JSONDecoder()
    while text:
        v, end = d.raw_decode(text)
        text = text[end:].lstrip()
        runs.append(v)

def line(name, a, k, zero, minutes):
    b = r["before"]
    cut = lambda key: f"{100 * (1 - a[key] / b[key]):.1f} %"
    ours = ort = "–"
    if len(runs) > k:
        pair = lambda f: f"{f(runs[0]):.3f} → {f(runs[k]):.3f}, {f(runs[0]) / f(runs[k]):.2f}×"
        ours = pair(lambda v: v["median_ms"])
        if runs[0]["peers"] and runs[k]["peers"]:
            ort = pair(lambda v: v["peers"][0]["median_ms"])
    print(f"| {name} | {cut('macs')} | {cut('params')} | {zero} | {b['top1']:.2f} → {a['top1']:.2f} | {ours} | {ort} | {minutes} |", flush=True)

zero = r["report"].get("sparsity")
line(name, r["after"], 1, "–" if zero is None else f"{100 * zero:.1f} %", f"{r['seconds'] / 60:.1f}")
if "dense" in r["report"]:
    line("as many, dense", r["report"]["dense"], 2, "–", "")
P
}

channels() {
  for m in random l1 l2 fpgm depgraph bn cluster taylor taylor:loss=outputs apoz hrank nisp thinet; do
    row "${m//[:=]/-}" --method "$m" --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
  done
  for a in global lamp cost sensitivity; do
    row "taylor-$a" --method taylor --allocation "$a" --macs "$MACS" --round-to 1 --epochs "$EPOCHS"
  done
  row l1-iterative --method l1 --schedule iterative:rounds=4 --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
  for s in sfp sfp:score=fpgm slimming:lambda=1e-5 group-lasso cluster depgraph; do
    row "train-${s//[:=]/-}" --sparsify "$s" --sparsify-epochs $((EPOCHS / 2)) --macs "$MACS" --round-to 1 --inner-only --epochs $((EPOCHS - EPOCHS / 2))
  done
  row train-gates --sparsify gates --sparsify-epochs 2 --allocation global:norm=none --retrain scratch-b --lr 0.1 --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
  row scratch-b --method l1 --retrain scratch-b --lr 0.1 --macs "$MACS" --round-to 1 --inner-only --epochs "$EPOCHS"
}

weights() {
  for s in 0.8 0.9 0.95; do
    for m in random magnitude snip grasp obd obd:loss=outputs obs woodfisher woodfisher:loss=outputs obc energy-aware dynamic movement gsm gsm:settle=0 frequency; do
      row "${m//[:=]/-}-$s" --method "$m" --sparsity "$s" --epochs "$EPOCHS"
    done
    row "gmm-$s" --allocation gmm --sparsity "$s" --epochs "$EPOCHS"
    row "lamp-$s" --allocation lamp --sparsity "$s" --epochs "$EPOCHS"
    row "erk-$s" --allocation erk --sparsity "$s" --epochs "$EPOCHS"
    row "iterative-$s" --schedule iterative:rounds=4 --sparsity "$s" --epochs "$EPOCHS"
    row "gradual-$s" --schedule gradual --sparsity "$s" --epochs "$EPOCHS"
    row "block4-$s" --pattern block4 --sparsity "$s" --epochs "$EPOCHS"
  done
  row 2-of-4 --pattern 2:4 --epochs "$EPOCHS"
  row 2-of-4-permuted --pattern 2:4 --permute --epochs "$EPOCHS"
  row 2-of-4-sr-ste --pattern 2:4 --method sr-ste --epochs "$EPOCHS"
  row 1-of-4 --pattern 1:4 --epochs "$EPOCHS"
}

tickets() {
  for s in 0.8 0.95; do
    for c in none reinit mask; do
      row "lottery-$c-$s" --schedule "lottery:rounds=5,control=$c" --sparsity "$s" --epochs "$EPOCHS" --lr 0.05
    done
  done
}

layers() {
  for m in norm bn taylor output imprint probe; do
    row "blocks-$m" --method "$m" --blocks 2 --epochs "$EPOCHS"
  done
  row layers-resconv --method resconv --blocks 4 --sparsify-epochs $((EPOCHS / 2)) --epochs $((EPOCHS - EPOCHS / 2))
}

# large, sparse networks beside small, dense ones of as many parameters
dense() {
  for s in 0.5 0.75 0.9; do
    row "sparse-$s" --sparsity "$s" --schedule gradual --compare-dense --epochs "$EPOCHS"
  done
}

for part in "${@:-channels}"; do
  case $part in
  channels | weights | tickets | layers | dense) "$part" ;;
  *) echo "parts are channels, weights, tickets, layers, dense; not $part" >&2; exit 2 ;;
  esac
done
