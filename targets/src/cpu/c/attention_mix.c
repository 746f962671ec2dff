/* @rows@ rows, VECTORS times 16 columns: adds 16 values weighted by s. */
MCV_INLINE void @symbol@_add(const float *s, float *out, const float *tile, int64_t wide, const int VECTORS) {
    vf sum[@rows@][@vectors@];
    MCV_UNROLL for (int i = 0; i < @rows@; i++)
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = vf_load(out + i * wide + 16 * v);
    for (int j = 0; j < 16; j++) {
        vf part[@vectors@];
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) part[v] = vf_load(tile + j * wide + 16 * v);
        MCV_UNROLL for (int i = 0; i < @rows@; i++) {
            const vf x = vf_set(s[i * 64 + j]);
            MCV_UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = vf_fma(x, part[v], sum[i][v]);
        }
    }
    MCV_UNROLL for (int i = 0; i < @rows@; i++)
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) vf_store(out + i * wide + 16 * v, sum[i][v]);
}

/* Adds the values of 64 keys from `first` on, weighted by s. */
MCV_INLINE void @symbol@_mix(const mcv_call *c, const float *s, float *out, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 16) * 16;
    for (int64_t key = 0; key < 64 && first + key < seen; key += 16) {
        const int count = mcv_count(seen, first + key);
        @symbol@_fetch(tile, MCV_ROW(2, first + key) + shared * D * @size@, c->arg[2].stride, count, D, wide);
        for (int r = 0; r < rows; r += @rows@) {
            int64_t i = 0;
            for (; i + 16 * @vectors@ <= wide; i += 16 * @vectors@)
                @symbol@_add(s + r * 64 + key, out + r * wide + i, tile + i, wide, @vectors@);
            for (; i < wide; i += 16) @symbol@_add(s + r * 64 + key, out + r * wide + i, tile + i, wide, 1);
        }
    }
}
