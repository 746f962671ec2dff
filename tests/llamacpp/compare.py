"""Sets mcv against llama.cpp on the same weights: taking turns, with as many threads, and prints medians and ratios.

    python3 compare.py MODEL.mcv GGUF_DIR [--threads 2] [--rounds 3] [--only decode:64,vision] [--contention] [--json FILE]

GGUF_DIR is what convert.py wrote. Every round asks all sides for every figure, one after the other, in turning order; a
ratio is the median of the rounds' ratios, so that a machine whose speed drifts treats both alike. Round 0 warms up and is
thrown away. Needs: pip install gguf llama-cpp-python
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from pathlib import Path

import table
from checkpoint import Fault
from sides import Busy, Llama, Ours

FIGURES = [
    ("prefill", 128), ("prefill", 512), ("decode", 64), ("decode", 2048), ("vision", "448x448"), ("vision", "1344x1344"),
]
WHOLE = [("first", None), ("first", "1344x1344")]
# Scheduler weights of Linux: a process of nice 0, one of nice 19.
WEIGHTS = (1024, 15)


def main():
    args = arguments()
    try:
        check(args)
        with tempfile.TemporaryDirectory() as scratch:
            args.scratch = Path(scratch)
            report = compare(args)
    except (Fault, OSError) as why:
        sys.exit(f"compare.py: {why}")
    print(table.markdown(report))
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def arguments():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description="mcv against llama.cpp on the same weights")
    parser.add_argument("model", type=Path, help="what mcv-compile wrote")
    parser.add_argument("gguf", type=Path, help="folder that convert.py wrote")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="turns that count")
    parser.add_argument("--picture-rounds", type=int, help="turns for pictures of many slices [default: --rounds]")
    parser.add_argument("--only", type=lambda s: s.split(","), help="of prefill,decode,vision,first,limits, or e.g. decode:64")
    parser.add_argument("--contention", action="store_true", help="decode again beside a busy process of lowest priority")
    parser.add_argument("--quants", type=lambda s: s.split(","), default=["Q4_0", "Q4_K_M"])
    parser.add_argument("--level", help="instruction set level of mcv's kernels")
    parser.add_argument("--bench", type=Path, default=root / "target/release/mcv-bench")
    parser.add_argument("--run", type=Path, default=root / "target/release/mcv-run")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    args = parser.parse_args()
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads are at least 1")
    return args


def check(args):
    """All files are there, or a Fault says how to get them."""
    ggufs = [args.gguf / f"llm-{q}.gguf" for q in args.quants] + [args.gguf / "mmproj-f16.gguf"]
    makers = {args.model: "mcv-compile", args.bench: "cargo build --release", args.run: "cargo build --release"}
    makers.update({path: "convert.py" for path in ggufs})
    for path, maker in makers.items():
        if not path.is_file():
            raise Fault(f"{path} is missing; {maker} makes it")


def compare(args):
    """All figures that were asked for."""
    wanted = lambda name, size="": args.only is None or name in args.only or f"{name}:{size}" in args.only
    ours = Ours(args)
    # Vision is the same file for all quants: the first one's worker stands for it.
    sides = [ours] + [Llama(args, quant, pictures=i == 0) for i, quant in enumerate(args.quants)]
    report = {
        "cpu": cpu(), "load_before": os.getloadavg()[0], "threads": args.threads, "rounds": args.rounds,
        "sides": [s.name for s in sides],
        "bytes": {s.name: sum(f.stat().st_size for f in s.files()) for s in sides}, "figures": [],
    }
    try:
        for phase, size in FIGURES:
            if wanted(phase, size):
                report["figures"].append(turns(args, sides, phase, size))
        if args.contention:
            report["contention"] = contention(args, sides)
    finally:
        for side in sides:
            side.close()
    report["whole"] = [starts(args, sides, picture) for _, picture in WHOLE if wanted("first", picture or "text")]
    report["limits"] = ours.limits() if wanted("limits") else None
    report["load_after"] = os.getloadavg()[0]
    return report


def order(sides, number):
    """The sides in the order of a round."""
    start = number % len(sides)
    return sides[start:] + sides[:start]


def is_long(size):
    """A picture of many slices."""
    return isinstance(size, str) and size != "448x448"


def rounds_of(args, size):
    """Numbers of a figure's rounds; those that take long are warm from the ones before."""
    if is_long(size):
        return range(1, 1 + (args.picture_rounds or args.rounds))
    return range(args.rounds + 1)


def turns(args, sides, phase, size):
    """Seconds per token or slice of one figure, per side and round."""
    found = {side.name: [] for side in sides}
    counts = {}
    for number in rounds_of(args, size):
        for side in order(sides, number):
            answer = side.seconds(phase, size)
            if answer and number > 0:
                found[side.name].append(answer[0])
            if answer:
                counts[side.name] = answer[1]
                progress(f"{phase} {size}", number, side, answer[0])
    unit = "slices" if phase == "vision" else "tokens"
    return {"name": f"{phase} {size}", "unit": unit, "counts": counts, "seconds": found}


def starts(args, sides, picture):
    """Whole processes up to the first token, per side and round."""
    found = {side.name: [] for side in sides}
    for number in rounds_of(args, picture):
        for side in order(sides, number):
            answer = side.first(picture)
            if answer and number > 0:
                found[side.name].append(answer)
            if answer:
                progress(f"first token, {picture or 'text'}", number, side, answer["seconds"])
    return {"name": f"start to first token, {'picture ' + picture if picture else 'text'}", "runs": found}


def contention(args, sides):
    """Decode at 64 alone and beside a busy process of lowest priority: the share of the fair share that is kept."""
    weight, low = WEIGHTS
    cores = max(args.threads, 1)
    fair = 1.0 - low / (weight + low) / cores
    found = {side.name: [] for side in sides}
    for number in range(args.rounds + 1):
        for side in order(sides, number):
            alone = side.seconds("decode", 64)[0]
            with Busy():
                beside = side.seconds("decode", 64)[0]
            progress(f"decode 64 alone {alone:.2f} s, beside another", number, side, beside)
            if number > 0:
                found[side.name].append(alone / beside / fair)
    return {"fair_share": fair, "kept": {name: statistics.median(kept) for name, kept in found.items()}, "rounds": found}


def progress(what, number, side, seconds):
    """A line for whoever waits."""
    print(f"{what}: round {number}, {side.name}: {seconds:.2f} s", file=sys.stderr)


def cpu():
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
