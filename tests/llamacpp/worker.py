"""llama.cpp's side of compare.py, in a process of its own.

    worker.py MODEL.gguf --threads N [--mmproj FILE]        answers lines {"phase", "size"} by {"seconds", "count"}
    worker.py MODEL.gguf --threads N --first QUESTION [--mmproj FILE --picture WxH]     one line about the first token

Seconds to the first token run from before the library is started; importing Python's packages is not counted, nor is the
memory that the process had by then.
"""

import argparse
import json
import sys
import time

from checkpoint import Fault

# Tokens per decode, as mcv-bench takes.
DECODE = 16


def memory(key):
    """Bytes of a line of /proc/self/status, 0 elsewhere."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith(key + ":")), 0)
    except OSError:
        return 0


class Bench:
    """A model with a context for each size that was asked for."""

    def __init__(self, args, llama):
        self.llama, self.args = llama, args
        self.model, self.contexts, self.vision = llama.Model(args.model, args.threads), {}, None

    def context(self, phase, size):
        """A context for one figure; decode's holds `size` rows."""
        if (phase, size) not in self.contexts:
            made = self.llama.Context(self.model, size + DECODE)
            if phase == "decode":
                made.feed([5 + i % 200 for i in range(size)])
            self.contexts[phase, size] = made
        return self.contexts[phase, size]

    def prefill(self, size):
        """Seconds to feed `size` tokens at once, as many tokens."""
        context = self.context("prefill", size)
        context.keep(0)
        started = time.perf_counter()
        context.feed([5 + i % 200 for i in range(size)])
        return time.perf_counter() - started, size

    def decode(self, size):
        """Seconds to feed tokens one by one after `size` rows."""
        context = self.context("decode", size)
        context.keep(size)
        started = time.perf_counter()
        for i in range(DECODE):
            context.feed([7 + i])
        return time.perf_counter() - started, DECODE

    def encode(self, size):
        """Seconds to encode a picture, slices."""
        if self.args.mmproj is None:
            raise Fault("a picture needs --mmproj")
        self.vision = self.vision or self.llama.Vision(self.args.mmproj, self.model)
        return self.vision.encode(size)

    def answer(self, request):
        """The answer to one request."""
        run = {"prefill": self.prefill, "decode": self.decode, "vision": self.encode}.get(request.get("phase"))
        if run is None:
            raise Fault(f"no phase {request.get('phase')!r}")
        seconds, count = run(request["size"])
        return {"seconds": seconds, "count": count}


def serve(args, llama):
    """Answers until stdin ends."""
    bench = Bench(args, llama)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        try:
            answer = bench.answer(json.loads(line))
        except (Fault, KeyError, ValueError) as why:
            answer = {"error": str(why)}
        print(json.dumps(answer), flush=True)


def first_token(args, llama):
    """A whole run up to the first token."""
    before, started = memory("VmRSS"), time.perf_counter()
    model = llama.Model(args.model, args.threads)
    context = llama.Context(model, 4096)
    if args.picture:
        rows = llama.Vision(args.mmproj, model).ask(context, args.picture, args.first)
    else:
        ids = model.tokenize(llama.CHAT.format(args.first), special=True)
        context.feed(ids)
        rows = len(ids)
    context.likeliest()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "rss_bytes": memory("VmHWM") - before, "rows": rows}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--mmproj")
    parser.add_argument("--picture")
    parser.add_argument("--first", metavar="QUESTION")
    args = parser.parse_args()
    try:
        import llama

        first_token(args, llama) if args.first else serve(args, llama)
    except Fault as why:
        print(json.dumps({"error": str(why)}), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
