/* Query row r of a key head: token r / G, head r % G of the G heads that share the keys. */
MCV_INLINE void @symbol@_query(const mcv_call *c, float *to, int64_t shared, int64_t r) {
    @sizes@
    const int64_t G = H / KV, wide = mcv_div_up(D, @lanes@) * @lanes@;
    const @asked_elem@ *q = (const @asked_elem@ *)MCV_ROW(0, r / G) + (shared * G + r % G) * D;
    const vf scale = vf_set(SCALE@log2e@);
    for (int64_t i = 0; i < wide; i++) to[i] = 0.0f;
    @query@
}
