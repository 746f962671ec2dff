"""gated_delta.py OUT
Golden of the gated delta rule and of the causal convolution before it, from transformers' Qwen3.5 (5.23, torch):
inputs, outputs and the last state of two calls, the second going on from the first. A line a tensor: name, numbers
row-major. `x` is what the convolution reads; its result, through SiLU, is q, k and v side by side."""
import sys
import torch
import torch.nn.functional as F
from transformers.models.qwen3_5 import modeling_qwen3_5 as qwen

HEADS, KEY_HEADS, K, V, TAPS = 4, 2, 6, 5, 4
CALLS = [3, 2]


def main(out):
    torch.manual_seed(7)
    n = sum(CALLS)
    width = 2 * KEY_HEADS * K + HEADS * V
    x, taps = torch.randn(n, width), torch.randn(width, TAPS)
    a, b, rate, bias = torch.randn(n, HEADS), torch.randn(n, HEADS), torch.rand(HEADS) + 0.1, torch.randn(HEADS)
    conv = F.conv1d(x.T[None], taps[:, None], padding=TAPS - 1, groups=width)[0, :, :n].T
    active = F.silu(conv)
    q, k, v = active.split([KEY_HEADS * K, KEY_HEADS * K, HEADS * V], -1)
    heads = lambda t, h: t.reshape(1, n, h, -1)
    g = -rate.exp() * F.softplus(a + bias)
    rule = lambda i, j, state: qwen.torch_recurrent_gated_delta_rule(
        *(heads(t, h)[:, i:j] for t, h in [(q, KEY_HEADS), (k, KEY_HEADS), (v, HEADS)]), g=g[None, i:j],
        beta=b.sigmoid()[None, i:j], initial_state=state, output_final_state=True, use_qk_l2norm_in_kernel=True)
    first, state = rule(0, CALLS[0], None)
    second, last = rule(CALLS[0], n, state)
    chunked, _ = qwen.torch_chunk_gated_delta_rule(
        heads(q, KEY_HEADS), heads(k, KEY_HEADS), heads(v, HEADS), g=g[None], beta=b.sigmoid()[None],
        use_qk_l2norm_in_kernel=True)
    whole = torch.cat([first, second], 1)
    assert (chunked - whole).abs().max() < 1e-5
    values = dict(x=x, taps=taps.T, conv=conv, a=a, b=b, rate=rate, bias=bias, out=whole, state=last)
    lines = (" ".join([name] + [f"{y:.7g}" for y in t.contiguous().flatten().tolist()]) for name, t in values.items())
    open(out, "w").write("\n".join(lines) + "\n")


if __name__ == "__main__": main(*sys.argv[1:])
