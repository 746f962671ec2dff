"""make_canvas.py CONFIG_DIR OUT.csv
Places on canvases by transformers' own MiniCPMV4_7Model.get_rope_index (transformers 5.24), sizes by its image processor.
A row: unit, scale_resolution, max_slice_nums, whether pictures are numbered, pictures as WxH (a space between them, a bar
between turns), number of tokens, FNV-1a of all places (turn, row, column of each token as int32).
Tokens: 500 501; per picture 385 10+k 386 where numbered, then as in prompts with 395 for each vector; 502 503."""
import itertools, random, struct, sys
import torch
from transformers import AutoConfig
from transformers.models.minicpmv4_6.image_processing_pil_minicpmv4_6 import MiniCPMV4_6ImageProcessorPil
from transformers.models.minicpmv4_7.modeling_minicpmv4_7 import MiniCPMV4_7Model


def fnv(data):
    seed = 0xCBF29CE484222325
    for byte in data: seed = (seed ^ byte) * 0x100000001B3 % 2**64
    return f"{seed:016x}"


def crops(processor, width, height, unit, scale, most):
    """Grid (rows, columns) and patch grids of a picture, its overview first."""
    size, mode = (height, width), {2: "4x", 4: "16x"}[unit]
    grid = processor.get_sliced_grid(size, most, scale)
    h, w = processor.find_best_resize(size, scale, 14, mode, allow_upscale=grid is None)
    sizes = [[h // 14, w // 14]]
    if grid is not None:
        h, w = processor.get_refine_size(size, grid, scale, 14, mode, allow_upscale=True)
        sizes += [[h // grid[0] // 14, w // grid[1] // 14]] * (grid[0] * grid[1])
    return grid or [0, 0], sizes


def turn(pictures, numbered, unit):
    ids, vectors = [500, 501], lambda size: [395] * (size[0] * size[1] // unit**2)
    for k, ((rows, cols), sizes) in enumerate(pictures):
        if numbered: ids += [385, 10 + k, 386]
        ids += [381, *vectors(sizes[0]), 382]
        for row in range(rows):
            if row: ids.append(198)
            for size in sizes[1 + row * cols:1 + (row + 1) * cols]: ids += [383, *vectors(size), 384]
        ids.append(198)
    return ids + [502, 503]


def row(model, processor, unit, scale, most, numbered, turns):
    shown = [[crops(processor, *picture, unit, scale, most) for picture in pictures] for pictures in turns]
    ids = torch.tensor([list(itertools.chain(*(turn(pictures, numbered, unit) for pictures in shown)))])
    sizes = torch.tensor([size for pictures in shown for _, sizes in pictures for size in sizes])
    places, _ = model.get_rope_index(ids, (ids == 395).int(), sizes, downsample_mode={2: "4x", 4: "16x"}[unit])
    flat = places[:, 0].T.flatten().tolist()
    named = "|".join(" ".join(f"{w}x{h}" for w, h in pictures) for pictures in turns)
    return f"{unit},{scale},{most},{int(numbered)},{named},{ids.shape[1]},{fnv(struct.pack(f'<{len(flat)}i', *flat))}"


def cases():
    draw = random.Random(47)
    side = lambda: round(2 ** draw.uniform(3, 11.5))
    for case in range(200):
        turns = [[(side(), side()) for _ in range(draw.choice([1, 1, 2, 3]))] for _ in range(draw.choice([1, 1, 2]))]
        yield draw.choice([2, 4]), draw.choice([112, 448]), draw.choice([1, 4, 9]), draw.random() < 0.7, turns
    for picture in [(3000, 100), (100, 3000), (448, 448), (1344, 1344), (1, 1), (4000, 12), (12, 4000)]:
        yield 4, 448, 9, True, [[picture]]


def main(folder, out):
    model = MiniCPMV4_7Model(AutoConfig.from_pretrained(folder))
    processor = MiniCPMV4_6ImageProcessorPil()
    lines = [row(model, processor, *case) for case in cases()]
    heading = "# unit,scale_resolution,max_slice_nums,numbered,pictures by turn,tokens,FNV-1a of the places"
    open(out, "w").write("\n".join([heading, *lines]) + "\n")


if __name__ == "__main__": main(*sys.argv[1:])
