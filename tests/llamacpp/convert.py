"""Converts a MiniCPM-V directory to what llama.cpp reads: the language model and the vision part as GGUF files.

    python3 convert.py MODEL_DIR OUT_DIR [--quants Q4_0,Q4_K_M] [--drop-float]

Writes llm-float.gguf (the checkpoint's own 16-bit numbers), llm-<quant>.gguf and mmproj-f16.gguf.
Language models of the Llama and the Qwen2 form are known (MiniCPM-V 2.5, 2.6, 4.0).
Needs: pip install gguf llama-cpp-python
"""

import argparse
import sys
from pathlib import Path

from checkpoint import Checkpoint, Fault, np

try:
    import gguf
except ImportError:
    sys.exit("convert.py: the package gguf is missing: pip install gguf llama-cpp-python")

# llama.h: enum llama_ftype.
QUANTS = {"Q4_0": 2, "Q8_0": 7, "Q4_K_M": 15}
# clip.minicpmv_version, by the config's version.
VERSIONS = {2.5: 2, 2.6: 3, 4.0: 5}
LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
VISION_LAYER = {
    "layer_norm1": "ln1", "layer_norm2": "ln2", "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
}
VISION_WHOLE = {
    "vpm.embeddings.patch_embedding": "v.patch_embd", "vpm.embeddings.position_embedding": "v.position_embd",
    "vpm.post_layernorm": "v.post_ln", "resampler.kv_proj": "resampler.kv",
    "resampler.attn.out_proj": "resampler.attn.out", "resampler.ln_q": "resampler.ln_q", "resampler.ln_kv": "resampler.ln_kv", "resampler.ln_post": "resampler.ln_post",
}


def llm_name(name):
    """GGUF's name of a tensor `llm.*`."""
    stem, _, end = name.removeprefix("llm.").rpartition(".")
    if stem in WHOLE:
        return f"{WHOLE[stem]}.{end}"
    parts = stem.removeprefix("model.layers.").split(".", 1)
    if len(parts) == 2 and parts[0].isdigit() and parts[1] in LAYER:
        return f"blk.{parts[0]}.{LAYER[parts[1]]}.{end}"
    raise Fault(f"{name}: language models with this tensor are not known here")


def interleaved(rows, heads):
    """Rows of a query or key projection: from rotated halves (Hugging Face) to rotated neighbours (GGUF's llama)."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def llm_tensors(model, arch):
    """`(name, make)` of the language model; matrices keep their 16 bits, vectors become f32."""
    heads = {"q_proj": model.size("num_attention_heads"), "k_proj": model.size("num_key_value_heads")}
    for name, tensor in model.tensors.items():
        if not name.startswith("llm."):
            continue
        turn = heads.get(name.split(".")[-2]) if arch == "llama" else None

        def make(tensor=tensor, turn=turn):
            numbers = tensor.stored if len(tensor.shape) > 1 else tensor.float32()
            return interleaved(numbers, turn) if turn else numbers

        yield llm_name(name), tensor.shape, tensor.kind if len(tensor.shape) > 1 else "F32", make
    scaling = model.config.get("rope_scaling") or {}
    if "short_factor" in scaling:
        factors = np.array(scaling["short_factor"], np.float32)
        yield "rope_freqs.weight", factors.shape, "F32", lambda: factors


def vision_tensors(model):
    """`(name, make)` of vision tower and resampler; matrices in f16, the rest in f32."""
    width = model.size("hidden_size")
    for name, tensor in model.tensors.items():
        if name.startswith("vpm.encoder.layers."):
            number, stem = name.removeprefix("vpm.encoder.layers.").rpartition(".")[0].split(".", 1)
            yield half(f"v.blk.{number}.{VISION_LAYER[stem]}.{name.rpartition('.')[2]}", tensor.shape, tensor.float32)
        elif name.startswith("resampler.attn.in_proj_"):
            for i, part in enumerate("qkv"):
                shape = (width, *tensor.shape[1:])
                make = lambda t=tensor, i=i: t.float32()[i * width : (i + 1) * width]
                yield half(f"resampler.attn.{part}.{name.rpartition('_')[2]}", shape, make)
        elif name == "resampler.proj":
            yield half("resampler.proj.weight", tensor.shape, lambda t=tensor: t.float32().T)
        elif name == "resampler.query":
            yield "resampler.query", tensor.shape, "F32", tensor.float32
        elif name.startswith(("vpm.", "resampler.")):
            stem, _, end = name.rpartition(".")
            if stem not in VISION_WHOLE:
                raise Fault(f"{name}: vision parts with this tensor are not known here")
            yield half(f"{VISION_WHOLE[stem]}.{end}", tensor.shape, tensor.float32)
    # Must be there, is not read: positions are computed.
    yield "resampler.pos_embed_k", (1, width), "F32", lambda: np.zeros((1, width), np.float32)


def half(name, shape, make):
    """A tensor in f16 if it has rows, else f32."""
    if len(shape) > 1:
        return name, shape, "F16", lambda: make().astype(np.float16)
    return name, shape, "F32", make


def write(path, arch, describe, tensors):
    """Writes a GGUF file, one tensor in memory at a time."""
    writer = gguf.GGUFWriter(path, arch)
    describe(writer)
    tensors = list(tensors)
    for name, shape, kind, _ in tensors:
        width = 4 if kind == "F32" else 2
        kind = gguf.GGMLQuantizationType[kind]
        dtype = np.dtype(np.float32 if width == 4 else np.float16)
        writer.add_tensor_info(name, shape, dtype, int(np.prod(shape)) * width, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, _, _, make in tensors:
        writer.write_tensor_data(np.ascontiguousarray(make()))
    writer.close()


def describe_llm(model, writer):
    """Sizes and tokenizer."""
    config = model.config
    heads = model.size("num_attention_heads")
    head = config.get("head_dim") or model.size("hidden_size") // heads
    writer.add_context_length(model.size("max_position_embeddings"))
    writer.add_embedding_length(model.size("hidden_size"))
    writer.add_block_count(model.size("num_hidden_layers"))
    writer.add_feed_forward_length(model.size("intermediate_size"))
    writer.add_head_count(heads)
    writer.add_head_count_kv(model.size("num_key_value_heads"))
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config.get("rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(float(config.get("rms_norm_eps", 1e-6)))
    writer.add_vocab_size(model.size("vocab_size"))
    describe_tokenizer(model, writer)


def describe_tokenizer(model, writer):
    """Byte-pair tokens and merges of tokenizer.json; ids without a token get a name of their own."""
    size = model.size("vocab_size")
    tokens, kinds = [f"[unused {i}]" for i in range(size)], [gguf.TokenType.UNUSED] * size
    parts = model.tokenizer.get("model") or {}
    known = [(i, text, gguf.TokenType.NORMAL) for text, i in (parts.get("vocab") or {}).items()]
    known += [(t["id"], t["content"], gguf.TokenType.CONTROL) for t in model.tokenizer.get("added_tokens") or []]
    for i, text, kind in known:
        if not 0 <= i < size:
            raise Fault(f"tokenizer.json: token {text!r} has id {i}; vocab_size is {size}")
        tokens[i], kinds[i] = text, kind
    merges = [m if isinstance(m, str) else " ".join(m) for m in parts.get("merges") or []]
    if not merges:
        raise Fault("tokenizer.json: no merges; only byte-pair tokenizers are known here")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_add_bos_token(False)
    end = model.config.get("eos_token_id")
    writer.add_eos_token_id(end if isinstance(end, int) and 0 <= end < size else 0)


def describe_vision(model, writer):
    """Sizes of vision tower and resampler."""
    version = VERSIONS.get(model.config.get("version", 2.5))
    if version is None:
        raise Fault(f"config.json: version {model.config['version']}; known here: {list(VERSIONS)}")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("resampler")
    writer.add_int32("clip.minicpmv_version", version)
    writer.add_uint32("clip.minicpmv_query_num", model.size("query_num"))
    writer.add_vision_projection_dim(0)
    writer.add_vision_image_size(model.size("image_size"))
    writer.add_vision_patch_size(model.vision("patch_size"))
    writer.add_vision_embedding_length(model.vision("hidden_size"))
    writer.add_vision_feed_forward_length(model.vision("intermediate_size"))
    writer.add_vision_block_count(model.vision("num_hidden_layers"))
    writer.add_vision_head_count(model.vision("num_attention_heads"))
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)
    writer.add_vision_use_gelu(True)


def quantize(source, target, quant, threads):
    """llama.cpp's own quantizer."""
    try:
        import llama_cpp
    except ImportError:
        raise Fault("the package llama-cpp-python is missing: pip install llama-cpp-python") from None
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread, params.max_buf_size = QUANTS[quant], threads, 1 << 30
    if llama_cpp.llama_model_quantize(str(source).encode(), str(target).encode(), params) != 0:
        raise Fault(f"{source}: llama.cpp could not quantize it to {quant}; see above")


def convert(args):
    """All files of one checkpoint."""
    model, out = Checkpoint(args.model), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    unknown = [q for q in args.quants if q not in QUANTS]
    if unknown:
        raise Fault(f"--quants {','.join(unknown)}: known are {', '.join(QUANTS)}")
    arch = "qwen2" if "llm.model.layers.0.self_attn.q_proj.bias" in model.tensors else "llama"
    whole = out / "llm-float.gguf"
    write(out / "mmproj-f16.gguf", "clip", lambda w: describe_vision(model, w), vision_tensors(model))
    write(whole, arch, lambda w: describe_llm(model, w), llm_tensors(model, arch))
    for quant in args.quants:
        quantize(whole, out / f"llm-{quant}.gguf", quant, args.threads)
    if args.drop_float:
        whole.unlink()


def main():
    parser = argparse.ArgumentParser(description="MiniCPM-V directory to GGUF files")
    parser.add_argument("model", help="directory as downloaded from Hugging Face")
    parser.add_argument("out", help="folder for the GGUF files")
    parser.add_argument("--quants", type=lambda s: [q for q in s.split(",") if q], default=["Q4_0", "Q4_K_M"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--drop-float", action="store_true", help="remove llm-float.gguf when all is quantized")
    try:
        convert(parser.parse_args())
    except (Fault, OSError) as why:
        sys.exit(f"convert.py: {why}")


if __name__ == "__main__":
    main()
