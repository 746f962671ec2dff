"""Writes blocks.txt: random blocks of every quantized format and their values as gguf-py sees them.

    pip install gguf && python3 blocks.py > blocks.txt

A line: format, bytes of the blocks in hex, bits of their values in hex.
"""

import gguf
import numpy as np
from gguf.quants import dequantize

# Format, blocks, and where the f16 numbers lie in a block.
FORMATS = [
    ("Q4_0", 2, [0]), ("Q4_1", 2, [0, 2]), ("Q5_0", 2, [0]), ("Q5_1", 2, [0, 2]), ("Q8_0", 2, [0]), ("IQ4_NL", 2, [0]),
    ("Q2_K", 1, [80, 82]), ("Q3_K", 1, [108]), ("Q4_K", 1, [0, 2]), ("Q5_K", 1, [0, 2]), ("Q6_K", 1, [208]), ("IQ4_XS", 1, [0]),
]

random = np.random.default_rng(7)
for name, count, halves in FORMATS:
    kind = gguf.GGMLQuantizationType[name]
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in halves:
        blocks[:, at : at + 2] = random.normal(0, 0.02, (count, 1)).astype(np.float16).view(np.uint8)
    values = dequantize(blocks, kind).astype(np.float32)
    print(name, blocks.tobytes().hex(), values.astype(">f4").tobytes().hex())
