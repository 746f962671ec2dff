"""Tests of the comparison's own parts; they need numpy, but neither llama.cpp nor a model."""

import json
import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np

import divergence
import sides
import table
from checkpoint import Checkpoint, Fault, tensors_of


def safetensors(header, data=b""):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(text)) + text + data


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "model.safetensors"

    def tearDown(self):
        self.folder.cleanup()

    def test_bf16_is_widened(self):
        numbers = np.array([1.0, -2.5, 0.0, 96.0], np.float32)
        data = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
        self.path.write_bytes(safetensors({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, data))
        np.testing.assert_array_equal(tensors_of(self.path)["a"].float32(), numbers.reshape(2, 2))

    def test_malformed_files_are_refused_by_name(self):
        entry = {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}
        bad = [
            b"", b"1234567", struct.pack("<Q", 1 << 60), safetensors(b"no json"),
            safetensors({"a": entry}), safetensors({"a": {**entry, "data_offsets": [0, 6]}}, bytes(8)),
            safetensors({"a": {**entry, "data_offsets": [-8, 0]}}, bytes(8)),
            safetensors({"a": {**entry, "dtype": "I3"}}, bytes(8)),
            safetensors({"a": {"dtype": "F16"}}, bytes(8)), safetensors({"a": {**entry, "shape": ["x"]}}, bytes(8)),
        ]
        for text in bad:
            self.path.write_bytes(text)
            with self.assertRaisesRegex(Fault, "model.safetensors"):
                tensors_of(self.path)

    def test_an_empty_folder_is_refused(self):
        with self.assertRaisesRegex(Fault, "config.json"):
            Checkpoint(self.folder.name)


class Figures(unittest.TestCase):
    def test_divergence_is_zero_for_equal_and_known_for_two_tokens(self):
        p, q = np.log(np.array([[0.5, 0.5]])), np.log(np.array([[0.9, 0.1]]))
        self.assertAlmostEqual(divergence.divergence(p, p + 3.0)[0][0], 0.0)
        self.assertAlmostEqual(divergence.divergence(p, q)[0][0], 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))

    def test_ratios_say_how_many_times_better_ours_is(self):
        seconds = {"a": [1, 2, 4], "b": [2, 4, 16]}
        figure = {"name": "decode 64", "unit": "tokens", "counts": {"a": 8, "b": 8}, "seconds": seconds}
        self.assertEqual(table.rate(figure, "a", ["b"]), "| decode 64, tokens/s | 4.00 | 2.00 (2.00x) |")
        self.assertEqual(table.row("size", "a", ["b", "c"], {"a": [2], "b": [5]}, str), "| size | 2 | 5 (2.50x) | - |")


class Programs(unittest.TestCase):
    def test_a_missing_program_and_one_that_says_no_json_are_named(self):
        with self.assertRaisesRegex(Fault, "no-such-program"):
            sides.Talk(["./no-such-program"])
        with self.assertRaisesRegex(Fault, "not JSON"):
            sides.whole([sys.executable, "-c", "print('x')"])
        with self.assertRaisesRegex(Fault, "why"):
            sides.whole([sys.executable, "-c", "print('{\"error\": \"why\"}'); exit(1)"])

    def test_the_picture_is_a_png_of_the_benchmarks_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "p.png"
            sides.png(path, "5x3")
            data = path.read_bytes()
        length, at = struct.unpack(">I", data[33:37])[0], 41
        rows = zlib.decompress(data[at : at + length])
        pixels = bytes(i * i // 97 % 251 for i in range(45))
        self.assertEqual(rows, b"".join(b"\0" + pixels[y : y + 15] for y in (0, 15, 30)))


if __name__ == "__main__":
    unittest.main()
