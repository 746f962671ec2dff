"""Whether mcv and llama.cpp give the same greedy answers on one GGUF pair, and where they part and how near the tie was.

    python3 agreement.py llm-Q4_0.gguf --model q4.mcv --exact float.mcv [--tokens 96] [--json FILE]

The GGUF is compiled twice, as it is (q4.mcv) and with --recipe float: the same grid numbers, activations unrounded.
llama.cpp runs the file as it is, and a copy of it with every tensor widened to F32. Both exact sides must answer alike;
the 4-bit sides round activations each in their own way, and part where the exact model's two likeliest tokens are near.
Needs: pip install gguf llama-cpp-python
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from checkpoint import Fault, np
from divergence import existing

try:
    import gguf
except ImportError:
    sys.exit("agreement.py: the package gguf is missing: pip install gguf llama-cpp-python")

PROMPTS = [
    "What is a book?", "Name three fruits and say how each of them tastes.", "Why is the sky blue?",
    "Write a short letter to a friend about a day at the sea.", "What is 12 plus 30?", "How do I boil an egg?",
    "Explain what a compiler does in two sentences.", "List the days of the week.",
    "What should I see in Paris?", "Give me a title for a story about a lost dog.",
    "Translate to French: the house is red.", "Who wrote Romeo and Juliet?",
]

SYSTEM = "You are a helpful assistant."
CHAT = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{{}}<|im_end|>\n<|im_start|>assistant\n"


def widen(path, wide):
    """Writes a copy of a GGUF file with every tensor in F32."""
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(wide, reader.get_field("general.architecture").contents())
    for field in reader.fields.values():
        if field.name == "general.architecture" or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        within = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=within)
    for tensor in reader.tensors:
        rows = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, rows.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Theirs:
    """llama.cpp's greedy answers."""

    def __init__(self, llama, path, threads, tokens):
        self.llama, self.tokens = llama, tokens
        self.model = llama.Model(path, threads)
        self.context = llama.Context(self.model, 1024)

    def answer(self, prompt):
        """Ids of the answer's tokens, up to an end of it or `tokens` of them."""
        self.context.keep(0)
        ids = self.model.tokenize(CHAT.format(prompt), special=True)
        found = []
        while len(found) < self.tokens:
            self.context.feed(ids)
            ids = [self.context.likeliest()]
            if self.llama.api.llama_vocab_is_eog(self.model.vocab, ids[0]):
                break
            found += ids
        return found

    def margin(self, prompt, prefix):
        """Logits between the two likeliest tokens after a prefix of an answer."""
        self.context.keep(0)
        self.context.feed(self.model.tokenize(CHAT.format(prompt), special=True) + prefix)
        row = self.llama.api.llama_get_logits_ith(self.context.handle, -1)
        top = np.sort(np.ctypeslib.as_array(row, (self.model.tokens,)))[-2:]
        return float(top[1] - top[0])


def ours(args, model):
    """mcv-run's greedy answers, as texts."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "prompts.jsonl"
        asked.write_text("".join(json.dumps({"id": i, "prompt": p}) + "\n" for i, p in enumerate(PROMPTS)))
        command = [existing(args.run), existing(model), "--prompts", asked, "--temperature", "0"]
        command += ["--system", SYSTEM, "--repetition-penalty", "1", "--max-tokens", str(args.tokens), "--threads", str(args.threads)]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Fault(done.stderr.strip() or f"{args.run}: status {done.returncode}")
    return [json.loads(line)["output"] for line in done.stdout.splitlines()]


def shared(ids, text, model):
    """How many of the first tokens stand in a text."""
    count = len(ids)
    while count and not text.startswith(model.text(ids[:count])):
        count -= 1
    return count


def compared(theirs, exact, texts):
    """Of each prompt: tokens of llama.cpp's answer, of these shared with ours, and the exact margin where they part."""
    rows = []
    for prompt, text in zip(PROMPTS, texts):
        ids = theirs.answer(prompt)
        same = shared(ids, text, theirs.model)
        whole = same == len(ids) and theirs.model.text(ids) == text
        # Texts may agree for one more token than the choices did: where ours took a longer token.
        last = range(max(same - 1, 0), same + 1)
        margin = None if whole else min(exact.margin(prompt, ids[:count]) for count in last)
        rows.append({"prompt": prompt, "tokens": len(ids), "shared": same, "same": whole, "margin": margin})
    return rows


def report(name, rows):
    """Prints a comparison."""
    print(f"{name}: {sum(r['same'] for r in rows)} of {len(rows)} answers the same")
    for r in rows:
        if not r["same"]:
            print(f"  parts after {r['shared']} of {r['tokens']} tokens, logits {r['margin']:.3f} apart: {r['prompt']}")


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description="greedy answers of mcv and llama.cpp on one GGUF")
    parser.add_argument("gguf", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="the GGUF, compiled")
    parser.add_argument("--exact", type=Path, required=True, help="the GGUF, compiled with --recipe float")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", type=Path, default=root / "target/release/mcv-run")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    try:
        import llama

        with tempfile.TemporaryDirectory() as folder:
            wide = Path(folder) / "wide.gguf"
            widen(existing(args.gguf), wide)
            exact = Theirs(llama, wide, args.threads, args.tokens)
        rounded = Theirs(llama, args.gguf, args.threads, args.tokens)
        found = {
            "exact against exact": compared(exact, exact, ours(args, args.exact)),
            "as it is against as it is": compared(rounded, exact, ours(args, args.model)),
            "llama.cpp as it is against mcv exact": compared(rounded, exact, ours(args, args.exact)),
            "llama.cpp exact against mcv as it is": compared(exact, exact, ours(args, args.model)),
        }
    except (Fault, OSError) as why:
        sys.exit(f"agreement.py: {why}")
    for name, rows in found.items():
        report(name, rows)
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
