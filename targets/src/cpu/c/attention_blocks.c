/* @keys@ keys of a head from `first` on, turned: value i of key j is tile[i * @keys@ + j]; zeros from `seen` on. */
MCV_INLINE void @symbol@_turn(const mcv_call *c, float *tile, int64_t shared, int64_t first, int64_t seen) {
    @sizes@
    for (int part = 0; part < @keys@; part += 16) {
        const int64_t key = first + part;
        const char *p = MCV_ROW(1, key) + shared * D * @size@;
        for (int64_t i = 0; i < D; i += 16) {
            const int wide = mcv_count(D, i);
            vf lanes[16];
            MCV_UNROLL for (int j = 0; j < 16; j++)
                lanes[j] = key + j < seen ? vf_load@suffix@_n((const @elem@ *)(p + j * c->arg[1].stride) + i, wide) : vf_set(0.0f);
            vf_turn(lanes);
            for (int j = 0; j < wide; j++) vf_store(tile + (i + j) * @keys@ + part, lanes[j]);
        }
    }
}

/* Scores of `rows` queries with 64 keys from `first` on. */
MCV_INLINE void @symbol@_scores(const mcv_call *c, const float *q, float *s, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 16) * 16;
    for (int64_t key = 0; key < 64 && first + key < seen; key += @keys@) {
        @symbol@_turn(c, tile, shared, first + key, seen);
        for (int r = 0; r < rows; r += @rows@) {
            vf sum[@rows@][@vectors@];
            MCV_UNROLL for (int i = 0; i < @rows@; i++)
                MCV_UNROLL for (int v = 0; v < @vectors@; v++) sum[i][v] = vf_set(0.0f);
            for (int64_t d = 0; d < D; d++) {
                vf part[@vectors@];
                MCV_UNROLL for (int v = 0; v < @vectors@; v++) part[v] = vf_load(tile + d * @keys@ + 16 * v);
                MCV_UNROLL for (int i = 0; i < @rows@; i++) {
                    const vf x = vf_set(q[(r + i) * wide + d]);
                    MCV_UNROLL for (int v = 0; v < @vectors@; v++) sum[i][v] = vf_fma(x, part[v], sum[i][v]);
                }
            }
            MCV_UNROLL for (int i = 0; i < @rows@; i++)
                MCV_UNROLL for (int v = 0; v < @vectors@; v++) vf_store(s + (r + i) * 64 + key + 16 * v, sum[i][v]);
        }
    }
}
