"""Writes the small graphs of tests/onnx_rules.rs: blocks of the float32 reference by both of torch's exporters, and look-alikes.

    export.py OUT    needs torch, onnx, onnxscript, and the reference package `mcv_reference` on PYTHONPATH
"""
import os, sys, warnings
import onnx, torch, torch.nn as nn, torch.nn.functional as F
from mcv_reference.config import LLMConfig
from mcv_reference.llm import LLM, Attention, MLP, RMSNorm, rope_tables

warnings.filterwarnings("ignore")
SMALL = dict(vocab_size=32, hidden_size=16, intermediate_size=12, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=4, rope_theta=1e4)
QWEN2, QWEN3 = LLMConfig(**SMALL, qkv_bias=True), LLMConfig(**SMALL, qk_norm=True)
C = LLMConfig(hidden_size=16, intermediate_size=12, num_heads=4, num_kv_heads=2, head_dim=4, qkv_bias=True, rope_theta=1e4)


class Rotated(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = Attention(C)

    def forward(self, x):
        cos, sin = rope_tables(C, torch.arange(0, x.shape[1]))
        return self.attn(x, cos, sin, None)


class Fused(nn.Module):
    """Queries, keys and values of one product, cut as timm cuts them; gate and up of another."""
    def __init__(self):
        super().__init__()
        self.qkv, self.up = nn.Linear(16, 48), nn.Linear(16, 24, bias=False)

    def forward(self, x):
        B, T, D = x.shape
        q, k, v = self.qkv(x).reshape(B, T, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        o = ((q * 0.5 @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(B, T, D)
        gate, up = self.up(o).split([12, 12], -1)
        return F.silu(gate) * up


class Gelu(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, x):
        return F.gelu(x, approximate=self.form)


class NotGelu(nn.Module):
    def forward(self, x):
        return 0.5 * x * (1 + torch.tanh(0.79788456 * (x + 0.05 * x * x * x)))


class NotRms(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16))

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6))


class NotCausal(nn.Module):
    def forward(self, x):
        h = x[:, None]
        m = torch.ones(x.shape[1], x.shape[1]).tril(1)
        s = h @ h.transpose(2, 3) * 0.25 + torch.where(m == 0, float("-inf"), 0.0)
        return s.softmax(-1) @ h


class NotRotary(nn.Module):
    def forward(self, x):
        h = x[:, None]
        a = torch.arange(x.shape[1]).float()[:, None] * torch.tensor([[1.0, 0.1, 0.01, 0.001]])
        a = torch.cat([a, a, a + 1, a], -1)
        turned = torch.cat([-h[..., 8:], h[..., :8]], -1)
        return h * a.cos() + turned * a.sin()


class Language(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.llm = LLM(c)
        for name, p in self.llm.named_parameters():
            p.data = torch.randn_like(p) * 0.2 + ("norm" in name)

    def forward(self, ids):
        x = self.llm.embed(ids)
        cos, sin = rope_tables(self.llm.c, torch.arange(0, x.shape[1]), seq_len=1)
        for layer in self.llm.model.layers:
            x = layer(x, cos, sin, None)
        return self.llm.logits(self.llm.model.norm(x))


JOBS = [("layer-norm-script-14", lambda: nn.LayerNorm(16)), ("rms-norm-script-14", lambda: RMSNorm(16, 1e-6)), ("rms-norm-dynamo-18", lambda: RMSNorm(16, 1e-6)),
        ("columns-script-11", Fused), ("columns-dynamo-18", Fused), ("gelu-erf-script-14", lambda: Gelu("none")), ("gelu-tanh-script-14", lambda: Gelu("tanh")), ("gelu-tanh-dynamo-18", lambda: Gelu("tanh")),
        ("swiglu-script-14", lambda: MLP(C)), ("swiglu-dynamo-18", lambda: MLP(C)), ("attention-script-14", Rotated), ("attention-dynamo-18", Rotated),
        ("attention-dynamo-23", Rotated), *[(f"llm-{n}-{e}", lambda c=c: Language(c)) for n, c in (("qwen2", QWEN2), ("qwen3", QWEN3)) for e in ("script-14", "dynamo-18")],
        ("not-gelu", NotGelu), ("not-rms-norm", NotRms), ("not-causal", NotCausal), ("not-rotary", NotRotary)]


def strip(path):
    m = onnx.load(path)
    for item in [*m.graph.node, *m.graph.value_info, *m.graph.input, *m.graph.output, *m.graph.initializer, m.graph]:
        item.doc_string = ""
        del item.metadata_props[:]
    del m.graph.value_info[:]
    onnx.save(m, path)


def main(out):
    os.makedirs(out, exist_ok=True)
    for name, make in JOBS:
        torch.manual_seed(3)
        module, x, path = make().eval(), torch.arange(5)[None] if name.startswith("llm") else torch.randn(1, 5, 16), os.path.join(out, name + ".onnx")
        opset = int(name.rsplit("-", 1)[1]) if name[-1].isdigit() else 14
        if "dynamo" in name:
            torch.onnx.export(module, (x,), path, dynamo=True, dynamic_shapes=({1: torch.export.Dim("tokens", min=2, max=64)},), external_data=False,
                              verbose=False, input_names=["x"], output_names=["y"], opset_version=opset)
        else:
            torch.onnx.export(module, (x,), path, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes={"x": {1: "tokens"}}, opset_version=opset)
        strip(path)


main(sys.argv[1])
