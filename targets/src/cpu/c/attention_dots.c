/* Scores of `rows` queries with 64 keys from `first` on. */
MCV_INLINE void @symbol@_scores(const mcv_call *c, const float *q, float *s, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 16) * 16;
    for (int64_t key = 0; key < 64 && first + key < seen; key += 16) {
        const int count = mcv_count(seen, first + key);
        @symbol@_fetch(tile, MCV_ROW(1, first + key) + shared * D * @size@, c->arg[1].stride, count, D, wide);
        for (int r = 0; r < rows; r++) {
            vf sum[16];
            MCV_UNROLL for (int j = 0; j < 16; j++) sum[j] = vf_set(0.0f);
            for (int64_t i = 0; i < wide; i += 16) {
                const vf part = vf_load(q + r * wide + i);
                MCV_UNROLL for (int j = 0; j < 16; j++) sum[j] = vf_fma(part, vf_load(tile + j * wide + i), sum[j]);
            }
            vf_store(s + r * 64 + key, vf_sums(sum));
        }
    }
}

/* Adds the values of 64 keys from `first` on, weighted by s. */
MCV_INLINE void @symbol@_mix(const mcv_call *c, const float *s, float *out, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 16) * 16;
    for (int64_t key = 0; key < 64 && first + key < seen; key += 16) {
        const int count = mcv_count(seen, first + key);
        @symbol@_fetch(tile, MCV_ROW(2, first + key) + shared * D * @size@, c->arg[2].stride, count, D, wide);
        for (int r = 0; r < rows; r++)
            for (int64_t i = 0; i < wide; i += 16) {
                vf sum = vf_load(out + r * wide + i), odd = vf_set(0.0f);
                MCV_UNROLL for (int j = 0; j < 16; j += 2) {
                    sum = vf_fma(vf_set(s[r * 64 + key + j]), vf_load(tile + j * wide + i), sum);
                    odd = vf_fma(vf_set(s[r * 64 + key + j + 1]), vf_load(tile + (j + 1) * wide + i), odd);
                }
                vf_store(out + r * wide + i, vf_add(sum, odd));
            }
    }
}
