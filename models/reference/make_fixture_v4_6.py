"""make_fixture_v4_6.py DIR TOKENIZER PICTURE
As make_fixture.py, for 4.6: the reference is transformers' own MiniCPMV4_6ForConditionalGeneration with its PIL image
processor (transformers 5.23). Rows of vpm.* are in the order in which patches become vectors: for each vector, row by
row, its windows row by row, each window's patches row by row. resampler.out holds the merger's vectors of all slices."""
import json, math, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoConfig
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import MiniCPMV4_6ImageProcessorPil
from transformers.models.minicpmv4_6.modeling_minicpmv4_6 import MiniCPMV4_6ForConditionalGeneration
from make_fixture import PROMPTS, spread, values


def formula(name, shape):
    """Centre and half width; most of Qwen3.5's norms count their gains from 1."""
    if name.endswith("A_log"): return 0.5, 0.5
    if name.endswith("dt_bias"): return 0.0, 0.5
    if "language_model" in name and "norm" in name and "linear_attn" not in name: return 0.0, 0.1
    return spread(name, shape)


def order(rows, cols, window):
    """Places of a grid, in blocks of window x window; with window 4 each block in blocks of 2 x 2."""
    places = []
    for block in [(r, c) for r in range(0, rows, window) for c in range(0, cols, window)]:
        half = window // 2
        inner = [(a, b) for a in range(0, window, half) for b in range(0, window, half)]
        for a, b in inner:
            places += [(block[0] + a + i) * cols + block[1] + b + j for i in range(half) for j in range(half)]
    return places


@torch.no_grad()
def encode(model, processor, picture):
    inputs = processor(images=picture, return_tensors="pt")
    grid = torch.tensor([[int(s) for s in row] for row in inputs["target_sizes"]])
    kept, tower = {}, model.model.vision_tower
    keep = lambda name: lambda _, __, out: kept.__setitem__(name, out[0] if isinstance(out, tuple) else out)
    hooks = [tower.embeddings.register_forward_hook(keep("vpm.embeddings")),
             tower.encoder.layers[0].register_forward_hook(keep("vpm.layer0")),
             tower.post_layernorm.register_forward_hook(keep("vpm.out"))]
    vectors = model.get_image_features(inputs["pixel_values"].float(), grid).pooler_output
    for hook in hooks: hook.remove()
    rows, cols = grid[0].tolist()
    first = order(rows, cols, 4)
    tensors = {k: kept[k][0, first][None].clone() for k in ["vpm.embeddings", "vpm.layer0"]}
    tensors["vpm.out"] = kept["vpm.out"][0, order(rows // 2, cols // 2, 2)][None].clone()
    tensors["resampler.out"] = torch.cat(list(vectors)).clone()
    return inputs, grid, tensors


def prompt(text, counts, grid, placeholder):
    block = ""
    if counts:
        around = lambda tag, n: f"<{tag}>{placeholder * n}</{tag}>"
        rows, cols = grid
        block = "<image_id>0</image_id>" + around("image", counts[0])
        lines = [counts[1 + r * cols:1 + (r + 1) * cols] for r in range(rows)]
        block += "\n".join("".join(around("slice", n) for n in line) for line in lines) + "\n"
    return f"<|im_start|>user\n{block}{text}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


@torch.no_grad()
def golden(model, processor, tok, picture, text, new):
    tensors, info, extra, counts, grid = {}, {"prompt": text, "bounds": [], "tgt_sizes_h_w": []}, {}, [], None
    image = model.config.image_token_id
    if picture is not None:
        inputs, sizes, tensors = encode(model, processor, picture)
        counts, grid = [int(h * w) // 16 for h, w in sizes], inputs["grids"][0]
        extra = {"pixel_values": inputs["pixel_values"].float(), "target_sizes": sizes}
        info["tgt_sizes_h_w"] = sizes.tolist()
    placeholder = tok.id_to_token(image)
    ids = tok.encode(prompt(text, counts, grid, placeholder), add_special_tokens=False).ids
    runs = [i for i, t in enumerate(ids) if t == image]
    for count in counts:
        info["bounds"].append([runs[0], runs[0] + count])
        runs = runs[count:]
    info |= {"ids": ids, "greedy": []}
    for step in range(new + 1):
        logits = model(input_ids=torch.tensor([ids + info["greedy"]]), use_cache=False, **extra).logits[0, -1]
        if step == 0: tensors["logits"] = logits[None].clone()
        if step < new: info["greedy"].append(int(logits.argmax()))
    return tensors, info


def main(folder, tokenizer, picture):
    path = lambda name: os.path.join(folder, name)
    config = AutoConfig.from_pretrained(folder)
    model = MiniCPMV4_6ForConditionalGeneration(config).float().eval()
    stored = {k: v for k, v in sorted(model.state_dict().items()) if k != "lm_head.weight"}
    kept = {k: (list(v.shape), *formula(k, v.shape)) for k, v in stored.items()}
    lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in kept.items())
    open(path("weights.json"), "w").write("{\n" + lines + "\n}\n")
    model.load_state_dict({k: values(k, *v) for k, v in kept.items()}, strict=False)
    model.tie_weights()
    processor = MiniCPMV4_6ImageProcessorPil(**json.load(open(path("preprocessor_config.json"))))
    tok, shown = Tokenizer.from_file(tokenizer), Image.open(picture).convert("RGB")
    for case, text in PROMPTS.items():
        tensors, info = golden(model, processor, tok, shown if case == "image" else None, text, 24)
        save_file({k: v.contiguous() for k, v in tensors.items()}, path(case + ".safetensors"))
        json.dump({k: info[k] for k in ["prompt", "ids", "bounds", "tgt_sizes_h_w", "greedy"]}, open(path(case + ".json"), "w"))
        top = tensors["logits"][-1].topk(2).values
        print(folder, case, len(info["ids"]), info["tgt_sizes_h_w"], "margin", float(top[0] - top[1]))


if __name__ == "__main__": main(*sys.argv[1:])
