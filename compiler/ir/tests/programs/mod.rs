//! Programs in text that several tests use.
#![allow(dead_code, reason = "each test reads some of them")]

/// Rows are appended to an f16 state, and read.
pub const CACHED: &str = r#"program "cached \"twice\"" stage imported
state @0 "rows" f16[4,2]
phase append {
  x = input "x" : f32[tokens<=4,2]
  all = store @0 "pos"(x) : f16[context<=4,2]
  "an output" = output "all"(all) : f16[context<=4,2]
}
phase read {
  s = state @0 : f16[4,2]
  o = output "all"(s) : f16[4,2]
}
"#;

/// Every op, source and kind of epilogue.
pub const EVERYTHING: &str = r#"program "everything" stage placed
state @0 "kv.0.k" f16[32,16]
state @1 "image_tokens" f32[12,32]
weight %0 "embed" bf16[100,32] = stored "llm.embed" 0..100
weight %1 "gain" f32[32] = inline [1.0, 0.5, -0.25, 1e-6, 3.4028235e38, 0x7fc00000, 1.0, 0.5, -0.25, 1.5, 1.0, 0.5, -0.25, 1.5, 1.0, 0.5, -0.25, 1.5, 1.0, 0.5, -0.25, 1.5, 1.0, 0.5, -0.25, 1.5, 1.0, 0.5, -0.25, 1.5, 1.0, -0.0]
weight %2 "proj" bf16[32,32] = stored "proj" 0..32 transposed
weight %3 "qk" q4/32[48,32]@panels16x4 = stacked { stored "q" 0..32; stored "k" 8..24; }
weight %4 "double" f32[32,32] = folded {
  p = weight %2 : bf16[32,32]
  twice = scale(p, factor=2.0) : f32[32,32]
  out = output "out"(twice) : f32[32,32]
}
weight %5 "inv_freq" f32[4] = inline [1.0, 0.1, 0.01, 0.001]
phase prefill {
  token_ids = input "token_ids" : i32[tokens<=8]
  positions = input "positions" : i32[tokens<=8]
  image_rows = input "image_rows" : i32[tokens<=8]
  embed = weight %0 : bf16[100,32]
  gain = weight %1 : f32[32]
  qk = weight %3 : q4/32[48,32]@panels16x4
  double = weight %4 : f32[32,32]
  inv_freq = weight %5 : f32[4]
  image = state @1 : f32[12,32]
  x.0 = gather(embed, token_ids) : f32[tokens<=8,32] @cpu
  x.1 = merge_rows(x.0, image, image_rows) : f32[tokens<=8,32] @cpu
  rope = rope_table(positions, inv_freq, scale=1.0) : f32[tokens<=8,8] @cpu
  "norm of x" = rms_norm(x.1, gain, eps=1e-6, groups=1) {quantize(32)} : q8/32[tokens<=8,32]@summed @"summed"
  qk.y = matmul("norm of x", qk) {scale(0.5)} : f32[tokens<=8,48] @cpu
  q = columns(qk.y, start=0, len=32) : f32[tokens<=8,32] @cpu
  k = columns(qk.y, start=32, len=16) : f32[tokens<=8,16] @cpu
  q.r = rope(q, rope, heads=4) : f32[tokens<=8,32] @cpu
  keys = store @0 "pos"(k, rope) : f16[context<=32,16] @cpu
  scores = scores(q.r, keys, heads=4, kv_heads=2, scale=0.35) : f32[4,tokens<=8,context<=32] @cpu
  soft = softmax(scores, causal=true) : f32[4,tokens<=8,context<=32] @cpu
  mix = mix(soft, keys, heads=4, kv_heads=2) : f32[tokens<=8,32] @cpu
  whole = attention(q, keys, keys, rope, heads=4, kv_heads=2, scale=0.35, causal=false) : f32[tokens<=8,32] @npu
  both = concat(mix, whole) : f32[tokens<=8,64] @cpu
  gated = gated_silu(both) : f32[tokens<=8,32] @cpu
  y = matmul(gated, double) {bias(gain), gelu_tanh, add(x.1), mul(whole)} : f32[tokens<=8,32] @cpu
  ln = layer_norm(y, gain, gain, eps=0.0) : f32[tokens<=8,32] @cpu
  last = last_row(ln) : f32[1,32] @cpu
  b = bias(last, gain) : f32[1,32] @cpu
  a = add(b, last) : f32[1,32] @cpu
  m = mul(a, last) : f32[1,32] @cpu
  g = gelu(m) : f32[1,32] @cpu
  z = quantize(g, group=16) : q8/16[1,32]@summed @cpu
  logits = output "logits"(g) : f32[1,32] @cpu
}
"#;
