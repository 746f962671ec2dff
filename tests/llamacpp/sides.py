"""The processes that compare.py sets against each other: mcv-bench and mcv-run, and llama.cpp's worker."""

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

from checkpoint import Fault

HERE = Path(__file__).resolve().parent
QUESTION = "What is this?"


class Talk:
    """A process that answers lines of JSON by lines of JSON."""

    def __init__(self, command):
        self.command = [str(c) for c in command]
        self.process = start(self.command, stdin=subprocess.PIPE)
        self.read()

    def read(self):
        """Its next line."""
        line = self.process.stdout.readline()
        if not line:
            self.close()
            raise Fault(f"{' '.join(self.command)}: ended with status {self.process.wait()}")
        return answer_of(line, self.command)

    def ask(self, request):
        """Its answer to a request."""
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        """Ends it."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def start(command, **more):
    """Starts a program whose output is read."""
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1"}
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **more)
    except OSError as why:
        raise Fault(f"{command[0]}: {why.strerror}") from why


def answer_of(line, command):
    """A line's JSON; an `error` in it becomes a Fault."""
    try:
        answer = json.loads(line)
    except ValueError as why:
        raise Fault(f"{' '.join(command)}: says {line[:200]!r}, not JSON") from why
    if "error" in answer:
        raise Fault(f"{' '.join(command)}: {answer['error']}")
    return answer


def whole(command):
    """Seconds, peak resident bytes and output of a whole process."""
    started = time.perf_counter()
    process = start([str(c) for c in command])
    with process.stdout as stdout:
        out = stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 and '"error"' not in out:
        raise Fault(f"{' '.join(process.args)}: status {process.returncode}")
    return seconds, usage.ru_maxrss * 1024, answer_of(out, process.args)


class Ours:
    """mcv-bench as an agent, one for each size of a phase, and mcv-run."""

    name = "mcv"

    def __init__(self, args):
        self.args, self.agents = args, {}

    def files(self):
        return [self.args.model]

    def seconds(self, phase, size):
        """Seconds and count of one run."""
        if (phase, size) not in self.agents:
            flag = {"prefill": "--prefill", "decode": "--context", "vision": "--picture"}[phase]
            command = [self.args.bench, self.args.model, "--agent", flag, size, *self.level()]
            self.agents[phase, size] = Talk(command)
        answer = self.agents[phase, size].ask({"phase": phase, "threads": {"threads": self.args.threads}})
        return answer["seconds"], answer["count"]

    def level(self):
        """Threads and instruction set."""
        level = ["--level", self.args.level] if self.args.level else []
        return ["--threads", self.args.threads, *level]

    def first(self, picture):
        """Seconds of a whole process to the first token, its peak resident bytes, rows of the prompt."""
        command = [self.args.run, self.args.model, "--prompt", QUESTION, "--max-tokens", 1, "--temperature", 0, "--json"]
        command += self.level() + (["--image", self.args.scratch / f"{picture}.png"] if picture else [])
        if picture:
            png(self.args.scratch / f"{picture}.png", picture)
        seconds, rss, answer = whole(command)
        return {"seconds": seconds, "rss_bytes": rss, "rows": answer["stats"]["prefill_tokens"]}

    def limits(self):
        """Shares of the read bandwidth that decode reaches, measured in one process with it, by context."""
        small = ["--repeat", 3, "--prefill", 8, "--picture", "28x28"]
        report = whole([self.args.bench, self.args.model, "--json", *small, *self.level()])[2]
        decode = [f for f in report["figures"] if f["name"].startswith("decode")]
        return {"bandwidth": report["bandwidth_bytes_per_second"], "int8": report["int8_operations_per_second"],
                "level": report["level"], "shares": {f["name"]: f["share_of_bandwidth"] for f in decode}}

    def close(self):
        for agent in self.agents.values():
            agent.close()


class Llama:
    """worker.py on one GGUF file."""

    def __init__(self, args, quant, pictures):
        self.args, self.pictures, self.talk, self.name = args, pictures, None, f"llama.cpp {quant}"
        self.model, self.mmproj = args.gguf / f"llm-{quant}.gguf", args.gguf / "mmproj-f16.gguf"

    def files(self):
        return [self.model, self.mmproj]

    def command(self, *more):
        vision = ["--mmproj", self.mmproj] if self.pictures else []
        return [sys.executable, HERE / "worker.py", self.model, "--threads", self.args.threads, *vision, *more]

    def seconds(self, phase, size):
        """As for Ours; none for a picture if another side shows it."""
        if phase == "vision" and not self.pictures:
            return None
        self.talk = self.talk or Talk(self.command())
        answer = self.talk.ask({"phase": phase, "size": size})
        return answer["seconds"], answer["count"]

    def first(self, picture):
        """As for Ours, without what Python itself takes."""
        if picture and not self.pictures:
            return None
        more = ["--picture", picture] if picture else []
        return whole(self.command("--first", QUESTION, *more))[2]

    def close(self):
        if self.talk:
            self.talk.close()


class Busy:
    """A process of lowest priority that never rests."""

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", "import os\nos.nice(19)\nwhile True: pass"])
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def png(path, size):
    """Writes the picture that mcv-bench draws of that size, unless it is there."""
    if path.exists():
        return
    width, height = (int(n) for n in size.split("x"))
    row = width * 3
    pixels = bytes(i * i // 97 % 251 for i in range(row * height))
    rows = b"".join(b"\0" + pixels[y * row : (y + 1) * row] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
