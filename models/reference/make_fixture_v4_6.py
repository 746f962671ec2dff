"""make_fixture_v4_6.py DIR TOKENIZER PICTURE
As make_fixture.py, for 4.6 and 4.7: the reference is transformers' own MiniCPMV4_6ForConditionalGeneration (5.23) or
MiniCPMV4_7ForConditionalGeneration (5.24) with their PIL image processor. Rows of vpm.* are in the order in which patches become vectors: for each vector, row by
row, its windows row by row, each window's patches row by row. resampler.out holds the merger's vectors of all slices.
4.7 has turns.{json,safetensors} as well: a conversation with pictures, which are parts (left, top, width, height) of
PICTURE, its ids, the bounds of all vectors, and for each turn how many ids its prompt ends at, its greedy answer and the
logits before it."""
import itertools, json, math, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoConfig
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import MiniCPMV4_6ImageProcessorPil
from transformers import MiniCPMV4_6ForConditionalGeneration, MiniCPMV4_7ForConditionalGeneration
from make_fixture import PROMPTS, spread, values

CLASSES = {"minicpmv4_6": MiniCPMV4_6ForConditionalGeneration, "minicpmv4_7": MiniCPMV4_7ForConditionalGeneration}
# Parts of the picture, and what is said about them.
TURNS = [([], "Hello."), ([(0, 0, 200, 24), (10, 20, 60, 130)], "Which one is longer?"), ([], "And why?"),
         ([(3, 5, 187, 141)], "Read the text."), ([(0, 0, 200, 64), (50, 0, 84, 150), (0, 60, 131, 31)], "Describe them.")]
STOPS, ANSWER = [378, 380], 8


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


def block(number, counts, grid, placeholder):
    around = lambda tag, n: f"<{tag}>{placeholder * n}</{tag}>"
    rows, cols = grid
    lines = [counts[1 + r * cols:1 + (r + 1) * cols] for r in range(rows)]
    slices = "\n".join("".join(around("slice", n) for n in line) for line in lines)
    return f"<image_id>{number}</image_id>" + around("image", counts[0]) + slices + "\n"


def prompt(text, counts, grid, placeholder):
    return asked(text, block(0, counts, grid, placeholder) if counts else "")


def asked(text, block):
    return f"<|im_start|>user\n{block}{text}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def last_logits(model, ids, extra):
    ids = torch.tensor([ids])
    if model.config.model_type == "minicpmv4_7": extra = {**extra, "mm_token_type_ids": (ids == model.config.image_token_id).int()}
    return model(input_ids=ids, use_cache=False, **extra).logits[0, -1]


def bounds(ids, counts, image):
    found, places = [], [i for i, t in enumerate(ids) if t == image]
    for count in counts:
        found.append([places[0], places[0] + count])
        places = places[count:]
    return found


@torch.no_grad()
def turns(model, processor, tok, picture):
    """The conversation of TURNS: answers end at a stop token, which is not kept, or are cut."""
    image, ids, shown, extra, counts, told, logits = model.config.image_token_id, [], [], {}, [], [], []
    placeholder = tok.id_to_token(image)
    for parts, text in TURNS:
        before, blocks = len(shown), ""
        shown += [picture.crop((x, y, x + w, y + h)) for x, y, w, h in parts]
        if shown:
            inputs = processor(images=shown, return_tensors="pt")
            sizes = torch.tensor([[int(s) for s in row] for row in inputs["target_sizes"]])
            extra, counts = {"pixel_values": inputs["pixel_values"].float(), "target_sizes": sizes}, [int(h * w) // 16 for h, w in sizes]
            ends = [0, *itertools.accumulate(int(n) for n in inputs["num_patches_per_image"])]
            for number in range(before, len(shown)):
                blocks += block(number, counts[ends[number]:ends[number + 1]], inputs["grids"][number], placeholder)
        closing = "<|im_end|>\n" if ids else ""
        ids += tok.encode(closing + asked(text, blocks), add_special_tokens=False).ids
        entry, answer = {"parts": parts, "text": text, "end": len(ids)}, []
        while len(answer) < ANSWER:
            found = last_logits(model, ids + answer, extra)
            if not answer: logits.append(found)
            if int(found.argmax()) in STOPS: break
            answer.append(int(found.argmax()))
        ids += answer
        told.append({**entry, "answer": answer})
    info = {"turns": told, "ids": ids, "bounds": bounds(ids, counts, image), "tgt_sizes_h_w": extra["target_sizes"].tolist()}
    return {"logits": torch.stack(logits)}, info


@torch.no_grad()
def golden(model, processor, tok, picture, text, new):
    tensors, info, extra, counts, grid = {}, {"prompt": text, "tgt_sizes_h_w": []}, {}, [], None
    image = model.config.image_token_id
    if picture is not None:
        inputs, sizes, tensors = encode(model, processor, picture)
        counts, grid = [int(h * w) // 16 for h, w in sizes], inputs["grids"][0]
        extra = {"pixel_values": inputs["pixel_values"].float(), "target_sizes": sizes}
        info["tgt_sizes_h_w"] = sizes.tolist()
    placeholder = tok.id_to_token(image)
    ids = tok.encode(prompt(text, counts, grid, placeholder), add_special_tokens=False).ids
    info |= {"ids": ids, "bounds": bounds(ids, counts, image), "greedy": []}
    for step in range(new + 1):
        logits = last_logits(model, ids + info["greedy"], extra)
        if step == 0: tensors["logits"] = logits[None].clone()
        if step < new: info["greedy"].append(int(logits.argmax()))
    return tensors, info


def main(folder, tokenizer, picture):
    path = lambda name: os.path.join(folder, name)
    config = AutoConfig.from_pretrained(folder)
    model = CLASSES[config.model_type](config).float().eval()
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
    if config.model_type == "minicpmv4_7":
        tensors, info = turns(model, processor, tok, shown)
        save_file({k: v.contiguous() for k, v in tensors.items()}, path("turns.safetensors"))
        json.dump(info, open(path("turns.json"), "w"))
        print(folder, "turns", len(info["ids"]), info["tgt_sizes_h_w"], [len(turn["answer"]) for turn in info["turns"]])


if __name__ == "__main__": main(*sys.argv[1:])
