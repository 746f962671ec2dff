"""Reads a Hugging Face directory: config, tokenizer, and the tensors of its safetensors files, which are mapped."""

import json
import mmap
import struct
from pathlib import Path

try:
    import numpy as np
except ImportError:
    raise SystemExit("the package numpy is missing: pip install gguf llama-cpp-python") from None

# Widest header that is believed.
MAX_HEADER = 100 << 20
STORED = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}


class Fault(Exception):
    """What is wrong with an input, in words for its owner."""


def read_json(path):
    """The JSON of a file, or a Fault naming the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as why:
        raise Fault(f"{path}: {why.strerror}") from why
    except ValueError as why:
        raise Fault(f"{path}: not JSON: {why}") from why


class Tensor:
    """One tensor of a file: its type's name, its shape, and its numbers as they are stored (BF16 as 16-bit words)."""

    def __init__(self, kind, shape, stored):
        self.kind, self.shape, self.stored = kind, tuple(shape), stored

    def float32(self):
        """The numbers, widened."""
        if self.kind == "BF16":
            return (self.stored.astype(np.uint32) << 16).view(np.float32)
        return self.stored.astype(np.float32)


class Checkpoint:
    """A directory's config, tokenizer and tensors by name."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.config = read_json(self.folder / "config.json")
        self.tokenizer = read_json(self.folder / "tokenizer.json")
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            raise Fault(f"{folder}: no *.safetensors file")
        self.tensors = {}
        for file in files:
            self.tensors.update(tensors_of(file))

    def size(self, key):
        """A positive integer of config.json."""
        return positive(self.config, key, self.folder / "config.json")

    def vision(self, key):
        """A positive integer of config.json's vision_config."""
        return positive(self.config.get("vision_config") or {}, key, f"{self.folder / 'config.json'}: vision_config")


def positive(values, key, where):
    """`values[key]`, which must be a positive integer."""
    value = values.get(key)
    if not isinstance(value, int) or value <= 0:
        raise Fault(f"{where}: {key} is {value!r}; it must be a positive integer")
    return value


def tensors_of(path):
    """All tensors of one safetensors file (8 bytes header length, JSON header, data)."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else MAX_HEADER + 1
    if length > MAX_HEADER or 8 + length > len(data):
        raise Fault(f"{path}: header of {length} bytes does not fit; is the download complete?")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError as why:
        raise Fault(f"{path}: header is not JSON: {why}") from why
    header.pop("__metadata__", None)
    return {name: tensor_of(path, name, entry, data, 8 + length) for name, entry in header.items()}


def tensor_of(path, name, entry, data, base):
    """One entry of a header as a view of the mapped file."""
    try:
        kind, shape, (begin, end) = entry["dtype"], [int(n) for n in entry["shape"]], entry["data_offsets"]
    except (KeyError, TypeError, ValueError) as why:
        raise Fault(f"{path}: {name}: dtype, shape or data_offsets is missing or odd") from why
    if kind not in STORED:
        raise Fault(f"{path}: {name}: dtype {kind}; give one of {', '.join(STORED)}")
    count = int(np.prod(shape, dtype=np.int64))
    size = count * np.dtype(STORED[kind]).itemsize
    if not 0 <= begin <= end <= len(data) - base or end - begin != size:
        raise Fault(f"{path}: {name}: bytes {begin} to {end} are not the {size} of shape {shape}")
    return Tensor(kind, shape, np.frombuffer(data, STORED[kind], count, base + begin).reshape(shape))
