#!/usr/bin/env bash
# Proves by execution, on networks of full width and resolution, that channels
# can be removed from every group of layers: one table row each, and below the
# table the groups that cannot be pruned, with the reason.
#
#   [DRAWKNIFE_DATA=DIR] docs/results/groups.sh [MODEL ...]
#
# Without models it takes VGG-16, DenseNet-121, ResNet-101 and the pretrained
# models of DIR.
set -euo pipefail
cd "$(dirname "$0")/../.."
go build -o out/drawknife-groups ./cmd/drawknife
if [[ $# -eq 0 ]]; then
  set -- zoo:vgg16 zoo:densenet121 zoo:resnet101
  [[ -z ${DRAWKNIFE_DATA:-} ]] || set -- "$@" "$DRAWKNIFE_DATA"/models/*/*.onnx
fi
for model; do
  { out/drawknife-groups --json inspect --groups --prove "$model" || true; } | python3 -c '
import json, sys
text = sys.stdin.read()
name = "/".join(sys.argv[1].split("/")[-2:]).removeprefix("zoo:")
if not text:
    sys.exit(f"{name}: no proof")
r = json.loads(text)
proofs = r["proofs"]
done = [p for p in proofs if "reason" not in p]
failed = [p for p in done if p.get("failed")]
worst = max((p["difference"] for p in done), default=0)
least = min((p["zeroed"] for p in done), default=0)
print(f"| {name} | {len(proofs)} | {len(done) - len(failed)} | {len(failed)} | {worst:.1e} | {least:.1e} |", flush=True)
for p in proofs:
    if "reason" in p:
        print(f"{name}: {p['"'group'"']}: {p['"'reason'"']}", file=sys.stderr)
' "$model"
done
