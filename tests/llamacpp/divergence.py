"""How far 4 bits move a model's next-token distributions: Kullback-Leibler divergence from its float weights, over texts.

    python3 divergence.py GGUF_DIR --model q4.mcv --float float.mcv [--quants Q4_0,Q4_K_M] [--json FILE]

GGUF_DIR is what convert.py wrote, with llm-float.gguf. llama.cpp's files are measured against llm-float.gguf, ours by
mcv-accuracy against our own float artifact, on the same token ids: every paragraph of texts.txt on its own.
Needs: pip install gguf llama-cpp-python
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from checkpoint import Fault, np
from sides import whole

MOST = 512


def log_softmax(rows):
    """Log probabilities of rows of logits, in f64."""
    rows = rows.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


def divergence(reference, other):
    """Kullback-Leibler divergence of each row (nats), and whether its likeliest token is the same."""
    p, q = log_softmax(reference), log_softmax(other)
    return (np.exp(p) * (p - q)).sum(axis=1), reference.argmax(axis=1) == other.argmax(axis=1)


def theirs(args, llama, texts):
    """Mean divergence of each quantized GGUF file, and the token ids."""
    model = llama.Model(existing(args.gguf / "llm-float.gguf"), args.threads)
    context = llama.Context(model, MOST, every_row=True)
    ids = [model.tokenize(text)[:MOST] for text in texts]
    reference = [context.logits(part) for part in ids]
    found = {}
    for quant in args.quants:
        path = existing(args.gguf / f"llm-{quant}.gguf")
        other = llama.Context(llama.Model(path, args.threads), MOST, every_row=True)
        parts = [divergence(r, other.logits(part)) for r, part in zip(reference, ids)]
        kl, same = (np.concatenate(column) for column in zip(*parts))
        found[f"llama.cpp {quant}"] = summary(kl.mean(), same.mean(), path)
    return found, ids


def summary(kl, same, path):
    """One line of the result."""
    return {"mean_kl_nats": float(kl), "same_top_token_share": float(same), "bytes": path.stat().st_size}


def ours(args, ids):
    """mcv-accuracy's answer on the same ids."""
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "ids.json"
        texts.write_text(json.dumps([{"ids": part} for part in ids]))
        command = [existing(args.accuracy), existing(args.model), "--against", existing(args.float), "--texts", texts]
        answer = whole(command + ["--threads", args.threads])[2]
    return summary(answer["mean_kl_nats"], answer["same_top_token_share"], args.model)


def existing(path):
    """The path, or a Fault."""
    if not path.is_file():
        raise Fault(f"{path} is missing")
    return path


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description="divergence of 4-bit weights from float, mcv's and llama.cpp's")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="our 4-bit artifact")
    parser.add_argument("--float", type=Path, required=True, help="the same model compiled with --recipe float")
    parser.add_argument("--quants", type=lambda s: s.split(","), default=["Q4_0", "Q4_K_M"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--texts", type=Path, default=Path(__file__).with_name("texts.txt"), help="paragraphs")
    parser.add_argument("--accuracy", type=Path, default=root / "target/release/mcv-accuracy")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    try:
        import llama

        texts = [t.strip() for t in existing(args.texts).read_text(encoding="utf-8").split("\n\n") if t.strip()]
        found, ids = theirs(args, llama, texts)
        found["mcv"] = ours(args, ids)
    except (Fault, OSError) as why:
        sys.exit(f"divergence.py: {why}")
    print(f"{sum(map(len, ids))} positions\n\n| | mean KL, nats | same likeliest token | bytes |\n|---|---|---|---|")
    for name, f in found.items():
        print(f"| {name} | {f['mean_kl_nats']:.4f} | {100 * f['same_top_token_share']:.1f} % | {f['bytes']} |")
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
