/* What is multiplied is split in two, rounded and what rounding left, and the three larger of the four products are
   summed. Queries are scaled. */
@asked@

/* `rows` rows of f32 as two rows of bf16 each, side by side: rounded, and what rounding left. */
MCV_INLINE void @symbol@_prepare(float *q, int64_t rows, int64_t wide) {
    for (int64_t r = 0; r < rows; r++) {
        MCV_ALIGNED uint16_t first[@wide@], rest[@wide@];
        for (int64_t i = 0; i < wide; i += 32) bf_split(first + i, rest + i, vf_load(q + r * wide + i), vf_load(q + r * wide + i + 16));
        uint16_t *to = (uint16_t *)(q + r * wide);
        for (int64_t i = 0; i < wide; i += 32) {
            vb_store(to + i, vb_load(first + i));
            vb_store(to + wide + i, vb_load(rest + i));
        }
    }
}

/* 16 keys from `first` on, 32 values from i on, as a panel: pairs of values of each key; zeros from `seen` on. */
MCV_INLINE void @symbol@_keys(const mcv_call *c, char *to, char *rest, int64_t shared, int64_t first, int64_t i, int64_t seen) {
    @sizes@
    MCV_ALIGNED uint16_t near[16][32], far[16][32];
    vf lanes[16];
    for (int j = 0; j < 16; j++) {
        vf part[2];
        MCV_UNROLL for (int half = 0; half < 2; half++) {
            const int64_t at = i + 16 * half;
            const int count = first + j < seen && D > at ? mcv_count(D, at) : 0;
            const @elem@ *k = (const @elem@ *)MCV_ROW(1, count ? first + j : 0) + shared * D + (count ? at : 0);
            part[half] = vf_load@suffix@_n(k, count);
        }
        bf_split(near[j], far[j], part[0], part[1]);
    }
    MCV_UNROLL for (int j = 0; j < 16; j++) lanes[j] = vf_load((const float *)near[j]);
    vf_turn(lanes);
    MCV_UNROLL for (int j = 0; j < 16; j++) vf_store((float *)(to + 64 * j), lanes[j]);
    MCV_UNROLL for (int j = 0; j < 16; j++) lanes[j] = vf_load((const float *)far[j]);
    vf_turn(lanes);
    MCV_UNROLL for (int j = 0; j < 16; j++) vf_store((float *)(rest + 64 * j), lanes[j]);
}

/* 32 keys from `first` on, values i to i + 16 of each, as a panel: pairs of keys; zeros from `seen` on. */
MCV_INLINE void @symbol@_values(const mcv_call *c, char *to, char *rest, int64_t shared, int64_t first, int64_t i, int64_t seen) {
    @sizes@
    const int count = mcv_count(D, i);
    for (int j = 0; j < 16; j++) {
        vf pair[2];
        MCV_UNROLL for (int side = 0; side < 2; side++) {
            const int64_t key = first + 2 * j + side;
            pair[side] = vf_load@suffix@_n((const @elem@ *)MCV_ROW(2, key < seen ? key : 0) + shared * D + i, key < seen ? count : 0);
        }
        bf_pairs((uint16_t *)(to + 64 * j), (uint16_t *)(rest + 64 * j), pair[0], pair[1]);
    }
}

/* Query rows from `start` on. */
MCV_INLINE void @symbol@_queries(const mcv_call *c, char *to, int64_t shared, int64_t start, int64_t rows, int64_t filled) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 32) * 32;
    float *q = (float *)to;
    for (int64_t i = rows * wide; i < filled * wide; i++) q[i] = 0.0f;
    for (int64_t r = 0; r < rows; r++) @symbol@_query(c, q + r * wide, shared, start + r);
    @symbol@_prepare(q, filled, wide);
}

MCV_INLINE void @symbol@_weights(uint16_t *to, vf even, vf odd) { bf_split(to, to + @keys@, even, odd); }
MCV_INLINE vf @symbol@_power(vf x) { return vf_power(x); }
