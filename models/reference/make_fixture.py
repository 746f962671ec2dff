"""make_fixture.py DIR TOKENIZER PICTURE
Goldens of a very small model whose weights follow from a formula, so that only their shapes are kept.
DIR holds config.json; written beside it:
  weights.json                tensor -> [shape, centre, width]
  {image,text}.json           prompt, ids, bounds, tgt_sizes_h_w, greedy (24 next tokens, stops not applied)
  {image,text}.safetensors    logits of the prompt's last position; with the picture also resampler.out of all slices
                              and vpm.embeddings, vpm.layer0, vpm.out of the overview
Value i of a tensor: centre + width * u in float64, rounded to float32 and to bfloat16, where u in [-1, 1) is
top / 2^23 - 1 with the top 24 bits of output i of SplitMix64 seeded with the FNV-1a hash of the tensor's name."""
import json, math, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np, torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from golden import golden
from mcv_reference.config import MCVConfig
from mcv_reference.model import MiniCPMV

PROMPTS = {"image": "Read the text.", "text": "How many lines are there?"}
KEPT = ["vpm.embeddings", "vpm.layer0", "vpm.out"]


def values(name, shape, centre, width):
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    u = (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    return torch.from_numpy((centre + width * u).astype(np.float32)).reshape(shape).bfloat16().float()


def spread(name, shape):
    """Centre and half width of a tensor's values."""
    if name.endswith("bias"): return 0.0, 0.05
    if len(shape) == 1: return 1.0, 0.1
    if "embed_tokens" in name or "query" in name: return 0.0, 0.9
    if "pos" in name: return 0.0, 0.5
    return 0.0, round(math.sqrt(3 / math.prod(shape[1:])), 4)


def main(folder, tokenizer, picture):
    path = lambda name: os.path.join(folder, name)
    cfg = MCVConfig.from_dir(folder)
    with torch.device("meta"):
        model = MiniCPMV(cfg)
    kept = {k: (list(v.shape), *spread(k, v.shape)) for k, v in sorted(model.state_dict().items())}
    lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in kept.items())
    open(path("weights.json"), "w").write("{\n" + lines + "\n}\n")
    model.load_state_dict({k: values(k, *v) for k, v in kept.items()}, strict=False, assign=True)
    tok, shown = Tokenizer.from_file(tokenizer), Image.open(picture).convert("RGB")
    for case, prompt in PROMPTS.items():
        tensors, info = golden(model.eval(), cfg, tok, shown if case == "image" else None, prompt, 24)
        small = {"logits": tensors["logits"][-1:].clone()}
        if case == "image":
            small |= {"resampler.out": tensors["resampler.out"], **{k: tensors[k][:1].clone() for k in KEPT}}
        save_file(small, path(case + ".safetensors"))
        info = {k: info[k] for k in ["prompt", "ids", "bounds", "tgt_sizes_h_w", "greedy"]}
        json.dump(info, open(path(case + ".json"), "w"))
        top = tensors["logits"][-1].topk(2).values
        print(folder, case, len(info["ids"]), "range", float(tensors["logits"].max() - tensors["logits"].min()), "margin", float(top[0] - top[1]))


if __name__ == "__main__": main(*sys.argv[1:])
