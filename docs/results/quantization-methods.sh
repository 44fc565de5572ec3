#!/usr/bin/env bash
# Quantization by every method, one table row each: top-1 in drawknife's engine
# and in ONNX Runtime, file size, latency. Rows that are in OUT already are not
# made again, and a training that was interrupted goes on.
#
#   DRAWKNIFE_ORT=/path/to/libonnxruntime.so DRAWKNIFE_DATA=DIR docs/results/quantization-methods.sh [bench] PART ...
#
# PART is one of
#   ptq       8 bits by each calibrator; 4 bits by each rounding (ResNet-20/32/56; DEPTHS)
#   ladder    naive, equalized, corrected, reconstructed (MobileNetV2, one scale a layer)
#   imagenet  8 bits by each calibrator, 4 bits by each rounding (the ImageNet models)
#   mixed     mixed precision against the same bits everywhere (ResNet-20)
#   qat       trained from the float network: LSQ, QAT, PACT, DoReFa, QNN, Octo, ternary, INQ (ResNet-20)
#   binary    one bit: BinaryConnect, BWN, BNN, XNOR, LAB, IR-Net, Bi-Real, ReActNet (ResNet-20)
# DIR is the folder of real images and pretrained models that the tests use. With
# bench nothing is made: rows that are there are timed, on one thread, here and in
# ONNX Runtime, which needs a machine that does nothing else; until then their
# latencies are blank.
#
# EPOCHS (qat: 6, binary: 12; the papers use 200 to 500) is the length of each
# training, LR (the method's) the learning rate of binary ones,
# VAL_EVERY (2) the epochs between validations, FROM the network that
# binary starts from (the pretrained one; zoo:resnet20 is random), THREADS the
# workers, OUT (out/quantization) the folder. LIMIT (images to measure on), STEPS (of training, and of
# reconstruction), IMAGES (to calibrate on) and ONLY (a pattern of rows) try the
# script on little.
set -euo pipefail
: "${DRAWKNIFE_ORT:?set it to the path of libonnxruntime.so}" "${DRAWKNIFE_DATA:?set it to the folder that holds models/models.json}"
cd "$(dirname "$0")/../.."
DRAWKNIFE=${DRAWKNIFE:-out/drawknife} OUT=${OUT:-out/quantization} ONLY=${ONLY:-*} LIMIT=${LIMIT:-0} STEPS=${STEPS:-0} DEPTHS=${DEPTHS:-20 32 56} THREADS=${THREADS:-0}
[[ -n ${KEEP_BINARY:-} ]] || go build -o "$DRAWKNIFE" ./cmd/drawknife
mkdir -p "$OUT"
models=$DRAWKNIFE_DATA/models cifar=cifar10:$DRAWKNIFE_DATA/cifar10
bench=
if [[ ${1:-} == bench ]]; then
  bench=1
  shift
fi

# timed runs a model on one thread, here and in ONNX Runtime, once.
timed() { # model, file of the result
  [[ -s $2 ]] || { "$DRAWKNIFE" --threads 1 bench "$1" --ort "$DRAWKNIFE_ORT" --json -q > "$2.part" 2> "$2.err" && mv "$2.part" "$2" && rm -f "$2.err"; }
}

row() { # label, model, data, calibration, flags
  local label=$1 model=$2 data=$3 calib=$4 base name file pre=()
  shift 4
  for ((i = 1; i < $#; i++)); do # what the network itself is measured with
    case ${!i} in
    --preset | --mean | --std | --label-offset) pre+=("${@:i:2}") ;;
    esac
  done
  base=$(basename "${model#zoo:}" .onnx)
  name=$base-$(echo "$label" | tr -cs 'A-Za-z0-9.\n' - | sed 's/^-//; s/-$//')
  # shellcheck disable=SC2053
  [[ $name == $ONLY ]] || return 0
  file=$OUT/$name ext=onnx
  [[ -z ${coded:-} ]] || ext=huff
  if [[ -n $bench ]]; then
    [[ -s $file.json ]] || return 0
    timed "$model" "$OUT/$base.bench" || true
    timed "$file.$ext" "$file.bench" || true
  fi
  if [[ ! -s $file.json ]]; then
    if ! "$DRAWKNIFE" --threads "$THREADS" quantize "$model" --data "$data" --calib "$calib" --limit "$LIMIT" --steps "$STEPS" ${IMAGES:+--images "$IMAGES"} "$@" --resume --no-eval \
      -o "$file.$ext" --json > "$file.json.part" 2> "$file.log"; then
      echo "| $base | $label | failed: $(tail -1 "$file.log") |"
      return 0
    fi
    mv "$file.json.part" "$file.json"
  fi
  # The network itself is measured once.
  [[ -s $OUT/$base-float.json ]] ||
    { "$DRAWKNIFE" --threads "$THREADS" eval "$model" --data "$data" --limit "$LIMIT" "${pre[@]}" --json -q > "$OUT/$base-float.json.part" && mv "$OUT/$base-float.json.part" "$OUT/$base-float.json"; }
  if [[ ! -s $file-ort.json ]]; then
    "$DRAWKNIFE" --threads "$THREADS" eval "$file.$ext" --data "$data" --limit "$LIMIT" --ort "$DRAWKNIFE_ORT" --json -q > "$file-ort.json.part" 2> "$file-ort.log" &&
      mv "$file-ort.json.part" "$file-ort.json" || true
  fi
  python3 - "$label" "$base" "$file" "$OUT/$base" <<'P'
import json, sys
label, model, file, base = sys.argv[1:]
q = json.load(open(file + ".json"))
b, a = q["before"], q["after"]
b["top1"], base = json.load(open(base + "-float.json"))["top1"], base + ".bench"
try:
    e = json.load(open(file + "-ort.json"))
    a["top1"] = e["top1"]
    p = e["peers"][0]
    peer = f"{p['top1']:.2f} ({p['same_top1_percent']:.2f} % alike)"
except Exception:
    peer = "not loaded"
try:
    x, y = json.load(open(base)), json.load(open(file + ".bench"))
    there = lambda r: f"{r['peers'][0]['median_ms']:.3f}" if r.get("peers") else "–"
    time = f"{x['median_ms']:.3f} → {y['median_ms']:.3f} | {there(x)} → {there(y)}"
except Exception:
    time = "– | –"
print(f"| {model} | {label} | {b['top1']:.2f} | {a['top1']:.2f} | {peer} | {b['file_bytes']/1024:.0f} → {a['file_bytes']/1024:.0f} | "
      f"{time} | {q['seconds']/60:.1f} |", flush=True)
P
}

# trained is a row of a training: more flags than rows that need none.
trained() { local label=$1 model=$2; shift 2; row "$label, ${EPOCHS:-$epochs} epochs" "$model" "$cifar@test" "$cifar@train" --preset imagenet --epochs "${EPOCHS:-$epochs}" --val-every "${VAL_EVERY:-2}" "$@"; }
resnet() { local label=$1 depth=$2; shift 2; row "$label" "$models/cifar10/resnet$depth.onnx" "$cifar@test" "$cifar@train" --preset imagenet "$@"; }
photos() { local label=$1 model=$2; shift 2; row "$label" "$models/imagenet/$model.onnx" "$DRAWKNIFE_DATA/imagenet/eval.tar" "$DRAWKNIFE_DATA/imagenet/calib.tar" "$@"; }

# few cuts the iterations of reconstruction to STEPS.
few() { if [[ $STEPS -gt 0 && $STEPS -lt $1 ]]; then echo "$STEPS"; else echo "$1"; fi; }

echo "| model | method | float top-1 | top-1 | in ONNX Runtime | file, KiB | ms, 1 thread | ms in ONNX Runtime | minutes |"
echo "|---|---|---|---|---|---|---|---|---|"
[[ $# -gt 0 ]] || { echo "say which part: ptq, ladder, imagenet, mixed, qat or binary" >&2; exit 2; }
for part in "$@"; do
  case $part in
  ptq)
    for depth in $DEPTHS; do
      for c in minmax ema std percentile mse kl aciq; do resnet "int8, $c" "$depth" --calibrator $c; done
      resnet "W8A8, MLPerf rules" "$depth" --images 500
      resnet "W8A8, one scale a layer, DFQ on made images (ZeroQ)" "$depth" --per-tensor --method dfq --data-free
      for bits in "4 8" "4 4"; do
        read -r w a <<< "$bits"
        n=$(few 2000)
        for m in int8 aciq "aciq:allocate=false" gptq "adaround:iterations=$n" "brecq:iterations=$n" "brecq:iterations=$n,fisher=true"; do
          resnet "W${w}A$a, $m" "$depth" --method "$m" --wbits "$w" --abits "$a" --images 1024
        done
      done
      resnet "W2A8, gptq" "$depth" --method gptq --wbits 2 --images 1024
      resnet "W4A8, powers of two" "$depth" --method log --wbits 4
      resnet "deep compression, 4 bits" "$depth" --method deep-compression:conv=4,fc=4
      # The same as Huffman-coded streams: what the file takes.
      coded=1 resnet "deep compression, 4 bits, Huffman-coded" "$depth" --method deep-compression:conv=4,fc=4
    done
    row "int8, 500 images, MLPerf rules" "$models/cifar10/resnet8.onnx" "$cifar@test" "$cifar@train" --preset raw --images 500
    ;;
  ladder)
    m=mobilenet_v2_1.0_224 flags=(--preset half --label-offset 1)
    photos "W8A8, one scale a layer" $m "${flags[@]}" --per-tensor --no-bias-correction
    photos "W8A8, one scale a layer, equalized" $m "${flags[@]}" --per-tensor --no-bias-correction --equalize
    photos "W8A8, one scale a layer, biases absorbed and corrected (DFQ)" $m "${flags[@]}" --per-tensor --method dfq
    photos "W8A8, a scale a channel" $m "${flags[@]}"
    photos "W4A8, a scale a channel" $m "${flags[@]}" --wbits 4 --no-bias-correction
    photos "W4A8, a scale a channel, corrected" $m "${flags[@]}" --wbits 4
    photos "W4A8, gptq" $m "${flags[@]}" --wbits 4 --method gptq
    photos "W4A8, brecq" $m "${flags[@]}" --wbits 4 --method "brecq:iterations=$(few 500)" --images 128
    ;;
  imagenet)
    for model in mobilenet_v1_0.25_128 mobilenet_v3_small_1.0_224 squeezenet1.1 mobilenet_v2_1.0_224; do
      case $model in
      mobilenet_v3*) flags=(--mean 128 --std 127 --label-offset 1) ;;
      squeezenet*) flags=(--preset imagenet) ;;
      *) flags=(--preset half --label-offset 1) ;;
      esac
      for c in minmax ema std percentile mse kl aciq; do photos "int8, $c" $model "${flags[@]}" --calibrator $c; done
      for a in 8 4; do
        for m in int8 aciq gptq "adaround:iterations=$(few 500)" "brecq:iterations=$(few 500)"; do
          photos "W4A$a, $m" $model "${flags[@]}" --wbits 4 --abits $a --method "$m"
        done
      done
    done
    ;;
  mixed)
    for share in 0.5 0.375; do
      for by in output hessian; do
        for budget in size bops; do
          resnet "mixed, $share of 8 bits, $by, $budget" 20 --method "mixed:share=$share,by=$by,budget=$budget,rounding=gptq"
        done
      done
    done
    resnet "W4A8, gptq" 20 --method gptq --wbits 4
    resnet "W3A8, gptq" 20 --method gptq --wbits 3
    ;;
  qat)
    epochs=6 m=$models/cifar10/resnet20.onnx
    for bits in "4 4" "2 2" "8 8" "3 3"; do
      read -r w a <<< "$bits"
      for method in lsq lsq:per-channel=true pact dorefa qnn qat; do
        [[ $w$method != [23]qat ]] || continue # integers by ranges are for 8 and 4 bits
        trained "W${w}A$a, $method" "$m" --method "$method" --wbits "$w" --abits "$a" --teacher "$m"
      done
    done
    trained "W2A2, lsq, batches of 64, rate 0.02" "$m" --method lsq --batch 64 --lr 0.02 --wbits 2 --abits 2 --teacher "$m"
    for method in dorefa qnn; do
      trained "W1A2, $method" "$m" --method "$method" --wbits 1 --abits 2 --teacher "$m"
      trained "W1A2, gradients of 6 bits, $method" "$m" --method "$method:gbits=6" --wbits 1 --abits 2 --teacher "$m"
    done
    for method in octo ternary inq inq:powers=8; do trained "$method" "$m" --method "$method" --teacher "$m"; done
    trained "inq, 3 bits" "$m" --method inq --wbits 3 --teacher "$m"
    ;;
  binary)
    epochs=12 m=$models/cifar10/resnet20.onnx from=${FROM:-$models/cifar10/resnet20.onnx}
    for method in irnet bwn lab binaryconnect binaryconnect:stochastic=true; do
      trained "1-bit weights, $method" "$from" --method "$method" --wbits 1 --abits 32 --teacher "$m" ${LR:+--lr "$LR"}
    done
    for method in irnet:shortcuts=true reactnet:real=0 bireal irnet xnor bnn; do
      trained "1-bit both, $method" "$from" --method "$method" --batch 128 --wbits 1 --abits 1 --teacher "$m" ${LR:+--lr "$LR"}
    done
    trained "1-bit both, reactnet:real=0.4, batches of 64" "$from" --method reactnet:real=0.4 --batch 64 --wbits 1 --abits 1 --teacher "$m" ${LR:+--lr "$LR"}
    trained "1-bit both, reactnet:real=0.4, batches of 32, flips alone" "$from" --method reactnet:real=0.4 --batch 32 --augment flip --wbits 1 --abits 1 --teacher "$m" ${LR:+--lr "$LR"}
    ;;
  *)
    echo "there is no part $part" >&2
    exit 2
    ;;
  esac
done
