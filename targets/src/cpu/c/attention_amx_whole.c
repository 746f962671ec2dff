/* Queries, keys and values are bf16 as they come; weights are rounded to it. */

/* Query rows from `start` on: token r / G, head r % G of the G heads that share the keys. */
MCV_INLINE void @symbol@_queries(const mcv_call *c, char *to, int64_t shared, int64_t start, int64_t rows, int64_t filled) {
    @sizes@
    const int64_t G = H / KV, wide = mcv_div_up(D, 32) * 32;
    for (int64_t r = 0; r < filled; r++) {
        const int64_t row = start + (r < rows ? r : 0);
        const uint16_t *q = (const uint16_t *)MCV_ROW(0, row / G) + (shared * G + row % G) * D;
        for (int64_t i = 0; i < wide; i += 32) vb_store(to + 2 * (r * wide + i), bf_load(q + i, r < rows ? D - i : 0));
    }
}

/* 16 keys from `first` on, 32 values from i on, as a panel: pairs of values of each key; zeros from `seen` on. */
MCV_INLINE void @symbol@_keys(const mcv_call *c, char *to, char *rest, int64_t shared, int64_t first, int64_t i, int64_t seen) {
    @sizes@
    vf lanes[16];
    (void)rest;
    MCV_UNROLL for (int j = 0; j < 16; j++) {
        const int there = first + j < seen;
        lanes[j] = bf_as_lanes(bf_load((const uint16_t *)MCV_ROW(1, there ? first + j : 0) + shared * D + i, there ? D - i : 0));
    }
    vf_turn(lanes);
    MCV_UNROLL for (int j = 0; j < 16; j++) vf_store((float *)(to + 64 * j), lanes[j]);
}

/* 32 keys from `first` on, values i to i + 16 of each, as a panel: pairs of keys; zeros from `seen` on. */
MCV_INLINE void @symbol@_values(const mcv_call *c, char *to, char *rest, int64_t shared, int64_t first, int64_t i, int64_t seen) {
    @sizes@
    const int count = mcv_count(D, i);
    (void)rest;
    for (int j = 0; j < 16; j++) {
        vb pair[2];
        MCV_UNROLL for (int side = 0; side < 2; side++) {
            const int64_t key = first + 2 * j + side;
            pair[side] = bf_load((const uint16_t *)MCV_ROW(2, key < seen ? key : 0) + shared * D + i, key < seen ? count : 0);
        }
        vb_store(to + 64 * j, bf_in_turns(pair[0], pair[1]));
    }
}

MCV_INLINE void @symbol@_weights(uint16_t *to, vf even, vf odd) { vb_store(to, bf_join(bf_round(even), bf_round(odd))); }
MCV_INLINE vf @symbol@_power(vf x) { return vf_power_rough(x); }
