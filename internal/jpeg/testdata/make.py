#!/usr/bin/env python3
"""Makes the small pictures of this folder, and golden.txt: for each its size,
channels and the SHA-256 of the pixels that Pillow decodes (four components
converted to RGB by Pillow). Needs Pillow and libjpeg-turbo's cjpeg. Tars given
as arguments are summed too: one sum over the pixels of all their pictures, in
the order of the tar.

    python3 make.py [CJPEG=path] [eval.tar calib.tar]
"""
import hashlib
import io
import math
import os
import subprocess
import sys
import tarfile

from PIL import Image, features

here = os.path.dirname(os.path.abspath(__file__))
cjpeg = next((a[6:] for a in sys.argv[1:] if a.startswith("CJPEG=")), "cjpeg")
tars = [a for a in sys.argv[1:] if not a.startswith("CJPEG=")]


def picture(w, h, channels=3):
    """Waves, an edge and noise: every coefficient occurs, and clipping."""
    seed, values = 1, bytearray()
    for y in range(h):
        for x in range(w):
            for c in range(channels):
                seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
                v = 128 + 90 * math.sin(x / (3 + c) + y / 5) + 60 * math.cos(y / (2 + c)) + (seed >> 16) % 40 - 20
                if x > w * 2 // 3 and c == 0:
                    v += 120
                values.append(max(0, min(255, int(v))))
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    return Image.frombytes(mode, (w, h), bytes(values))


def pillow(w, h, channels=3, **options):
    out = io.BytesIO()
    picture(w, h, channels).save(out, "JPEG", optimize=True, **options)
    return out.getvalue()


def encoder(w, h, *flags, scans=None):
    args = [cjpeg, "-optimize", *flags]
    if scans:
        path = os.path.join(here, "scans.tmp")
        with open(path, "w") as f:
            f.write(scans)
        args += ["-scans", path]
    ppm = b"P6\n%d %d\n255\n" % (w, h) + picture(w, h).tobytes()
    out = subprocess.run(args, input=ppm, capture_output=True, check=True).stdout
    if scans:
        os.remove(path)
    return out


def adobe(raw, transform):
    """Another value, or with None no Adobe marker at all."""
    at = raw.index(b"Adobe")
    if transform is None:
        return raw[: at - 4] + raw[at + 12 :]
    return raw[: at + 11] + bytes([transform]) + raw[at + 12 :]


inks = pillow(11, 9, 4, quality=85)
steps = """0,1,2: 0-0, 0, 2; 0: 1-10, 0, 3; 1: 1-63, 0, 1; 0: 11-63, 0, 3; 2: 1-63, 0, 1; 0,1,2: 0-0, 2, 1;
0: 1-63, 3, 2; 0: 1-63, 2, 1; 1: 1-20, 1, 0; 1: 21-63, 1, 0; 2: 1-63, 1, 0; 0,1,2: 0-0, 1, 0; 0: 1-63, 1, 0;"""
files = {
    "gray": pillow(17, 33, 1, quality=75),
    "gray_progressive": pillow(9, 15, 1, quality=90, progressive=True),
    "444": pillow(19, 13, quality=92, subsampling=0),
    "422": pillow(15, 9, quality=75, subsampling=1),
    "420": pillow(33, 17, quality=75, subsampling=2),
    "420_tiny": pillow(4, 3, quality=75, subsampling=2),
    "420_pixel": pillow(1, 1, quality=75, subsampling=2),
    "420_worst": pillow(33, 31, quality=5, subsampling=2),
    "444_best": pillow(8, 9, quality=100, subsampling=0),
    "420_progressive": pillow(23, 35, quality=80, subsampling=2, progressive=True),
    "440": encoder(14, 19, "-sample", "1x2"),
    "411": encoder(35, 10, "-sample", "4x1"),
    "410": encoder(35, 18, "-sample", "4x2"),
    "mixed": encoder(21, 22, "-sample", "2x2,1x2,2x1"),
    "restart": encoder(37, 20, "-sample", "2x2", "-restart", "2B"),
    "restart_progressive": encoder(20, 37, "-sample", "2x1", "-restart", "1", "-progressive"),
    "steps": encoder(27, 25, "-sample", "2x2", "-quality", "96", scans=steps),
    "scans": encoder(18, 17, "-sample", "2x2", scans="0; 1; 2;"),
    "rgb": encoder(13, 10, "-rgb"),
    "cmyk": inks,
    "cmyk_plain": adobe(inks, None),
    "ycck": adobe(inks, 2),
}


def pixels(raw):
    im = Image.open(io.BytesIO(raw))
    im.load()
    return im.convert("RGB") if im.mode == "CMYK" else im


with open(os.path.join(here, "golden.txt"), "w") as golden:
    golden.write("# by make.py, Pillow with libjpeg-turbo %s\n" % features.version("libjpeg_turbo"))
    for name, raw in files.items():
        with open(os.path.join(here, name + ".jpg"), "wb") as f:
            f.write(raw)
        im = pixels(raw)
        golden.write("%s.jpg %d %d %d %s\n" % (name, im.width, im.height, len(im.getbands()), hashlib.sha256(im.tobytes()).hexdigest()))
    for path in tars:
        total, n = hashlib.sha256(), 0
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".jpg"):
                    total.update(pixels(tar.extractfile(member).read()).tobytes())
                    n += 1
        golden.write("%s %d %s\n" % (os.path.basename(path), n, total.hexdigest()))
