/* `count` rows of `D` values from p on, as f32 rows of `wide`, zeros around. */
MCV_INLINE void @symbol@_fetch(float *to, const char *p, int64_t stride, int count, int64_t D, int64_t wide) {
    for (int r = 0; r < 16; r++)
        for (int64_t i = 0; i < wide; i += 16)
            vf_store(to + r * wide + i, r < count ? vf_load@suffix@_n((const @elem@ *)(p + r * stride) + i, mcv_count(D, i)) : vf_set(0.0f));
}

@asked@

/* Turns 64 scores, `live` of them seen, into weights against the new maximum; rescales what was summed before. */
MCV_INLINE void @symbol@_weigh(float *s, int64_t live, float *most, float *total, float *out, int64_t wide) {
    const vf never = vf_set(-INFINITY);
    vf top = never, sum = vf_set(0.0f);
    for (int i = 0; i < 64; i += 16) {
        const int count = live > i ? mcv_count(live, i) : 0;
        const vf part = vf_first(count, vf_load(s + i), never);
        vf_store(s + i, part);
        top = vf_max(top, part);
    }
    const float old = *most, best = vf_top(top), now = old > best ? old : best;
    const vf shift = vf_set(now == -INFINITY ? 0.0f : now);
    for (int i = 0; i < 64; i += 16) {
        const vf part = vf_exp(vf_sub(vf_load(s + i), shift));
        vf_store(s + i, part);
        sum = vf_add(sum, part);
    }
    const float keep = old == now ? 1.0f : old == -INFINITY ? 0.0f : vf_top(vf_exp(vf_set(old - now)));
    *most = now;
    *total = *total * keep + vf_sum(sum);
    if (keep != 1.0f)
        for (int64_t i = 0; i < wide; i += 16) vf_store(out + i, vf_mul(vf_load(out + i), vf_set(keep)));
}

@sums@

/* A unit: @block@ query rows of a key head, fewer when there is one token. */
MCV_API int64_t @symbol@_units(const mcv_call *c) {
    @sizes@
    return KV * mcv_div_up(M * (H / KV), M == 1 ? @block_one@ : @block@);
}

MCV_API void @symbol@(const mcv_call *c, int64_t begin, int64_t end) {
    @sizes@
    const int64_t G = H / KV, block = M == 1 ? @block_one@ : @block@, blocks = mcv_div_up(M * G, block);
    const int64_t wide = mcv_div_up(D, @lanes@) * @lanes@;
    MCV_ALIGNED float q[@block@ * @wide@], out[@block@ * @wide@], tile[@tile@ * @wide@], s[@block@ * 64];
    float most[@block@], total[@block@];
    for (int64_t u = begin; u < end; u++) {
        const int64_t shared = u / blocks, start = u % blocks * block;
        const int rows = (int)mcv_min(block, M * G - start);
        for (int r = 0; r < rows; r++) {
            @symbol@_query(c, q + r * wide, shared, start + r);
            for (int64_t i = 0; i < wide; i++) out[r * wide + i] = 0.0f;
            most[r] = -INFINITY;
            total[r] = 0.0f;
        }
        @fill@
        const int64_t seen = @seen_block@;
        for (int64_t first = 0; first < seen; first += 64) {
            @symbol@_scores(c, q, s, tile, shared, rows, first, seen);
            for (int r = 0; r < rows; r++)
                @symbol@_weigh(s + r * 64, @seen_row@ - first, most + r, total + r, out + r * wide, wide);
            @symbol@_mix(c, s, out, tile, shared, rows, first, seen);
        }
        for (int r = 0; r < rows; r++) {
            const int64_t m = (start + r) / G, head = (shared * G + (start + r) % G) * D;
            const vf factor = vf_set(total[r] > 0.0f ? 1.0f / total[r] : 0.0f);
            float *y = (float *)MCV_ROW(@result@, m) + head;
            for (int64_t i = 0; i < D; i += 16) vf_store_n(y + i, vf_mul(vf_load(out + r * wide + i), factor), mcv_count(D, i));
        }
    }
}
