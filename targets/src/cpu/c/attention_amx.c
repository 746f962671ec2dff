/* `rows` rows of f32 as two rows of bf16 each, side by side: rounded, and what rounding left. */
MCV_INLINE void @symbol@_prepare(float *q, int rows, int64_t wide) {
    for (int r = 0; r < rows; r++) {
        MCV_ALIGNED uint16_t first[@wide@], rest[@wide@];
        for (int64_t i = 0; i < wide; i += 16) bf_split(first + i, rest + i, vf_load(q + r * wide + i));
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
    for (int j = 0; j < 16; j++)
        for (int half = 0; half < 32; half += 16) {
            const int count = first + j < seen && D > i + half ? mcv_count(D, i + half) : 0;
            const @elem@ *k = (const @elem@ *)MCV_ROW(1, count ? first + j : 0) + shared * D + (count ? i + half : 0);
            bf_split(near[j] + half, far[j] + half, vf_load@suffix@_n(k, count));
        }
    MCV_UNROLL for (int j = 0; j < 16; j++) lanes[j] = vf_load((const float *)near[j]);
    vf_turn(lanes);
    MCV_UNROLL for (int j = 0; j < 16; j++) vf_store((float *)(to + 64 * j), lanes[j]);
    MCV_UNROLL for (int j = 0; j < 16; j++) lanes[j] = vf_load((const float *)far[j]);
    vf_turn(lanes);
    MCV_UNROLL for (int j = 0; j < 16; j++) vf_store((float *)(rest + 64 * j), lanes[j]);
}

/* Scores of `rows` queries with 64 keys from `first` on: bf16 times bf16, and either times what the other left. */
MCV_INLINE void @symbol@_scores(const mcv_call *c, amx_state *t, const float *q, float *s, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 32) * 32, steps = wide / 32, part = 4096 * steps;
    char *keys = (char *)tile;
    for (int64_t step = 0; step < steps; step++)
        for (int j = 0; j < 4; j++) {
            char *to = keys + 4096 * step + 1024 * j;
            @symbol@_keys(c, to, to + part, shared, first + 16 * j, 32 * step, seen);
        }
    for (int r = 0; r < rows; r += 32)
        for (int j = 0; j < 4; j += 2) {
            const char *upper = (const char *)(q + r * wide), *lower = upper + 64 * wide;
            amx_zero(t, 0);
            amx_zero(t, 1);
            amx_zero(t, 2);
            amx_zero(t, 3);
            for (int64_t step = 0; step < steps; step++)
                MCV_UNROLL for (int i = 0; i < 3; i++) {
                    const char *panel = keys + (i == 1 ? part : 0) + 4096 * step + 1024 * j;
                    const int64_t at = 64 * step + (i == 2 ? 2 * wide : 0);
                    amx_load(t, 4, upper + at, 4 * wide);
                    amx_load(t, 6, panel, 64);
                    amx_load(t, 7, panel + 1024, 64);
                    amx_dot_bf16(t, 0, 4, 6);
                    amx_dot_bf16(t, 1, 4, 7);
                    amx_load(t, 5, lower + at, 4 * wide);
                    amx_dot_bf16(t, 2, 5, 6);
                    amx_dot_bf16(t, 3, 5, 7);
                }
            float *to = s + r * 64 + 16 * j;
            amx_store(t, 0, to, 256);
            amx_store(t, 1, to + 16, 256);
            amx_store(t, 2, to + 16 * 64, 256);
            amx_store(t, 3, to + 16 * 64 + 16, 256);
        }
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

/* Adds 64 values weighted by rows p, 64 of bf16 and what rounding left, to two tiles of columns, or one. */
MCV_INLINE void @symbol@_add(amx_state *t, const float *p, float *out, const char *panel, int64_t part, int64_t wide, const int TWO) {
    amx_load(t, 0, out, 4 * wide);
    amx_load(t, 2, out + 16 * wide, 4 * wide);
    if (TWO) {
        amx_load(t, 1, out + 16, 4 * wide);
        amx_load(t, 3, out + 16 * wide + 16, 4 * wide);
    }
    MCV_UNROLL for (int i = 0; i < 6; i++) {
        const char *from = panel + i / 3 * 1024 + (i % 3 == 1 ? part : 0);
        if (i % 3 != 1) {
            const float *weights = p + i / 3 * 16 + i % 3 * 16;
            amx_load(t, 4, weights, 256);
            amx_load(t, 5, weights + 16 * 64, 256);
        }
        amx_load(t, 6, from, 64);
        amx_dot_bf16(t, 0, 4, 6);
        amx_dot_bf16(t, 2, 5, 6);
        if (TWO) {
            amx_load(t, 7, from + 2048, 64);
            amx_dot_bf16(t, 1, 4, 7);
            amx_dot_bf16(t, 3, 5, 7);
        }
    }
    amx_store(t, 0, out, 4 * wide);
    amx_store(t, 2, out + 16 * wide, 4 * wide);
    if (TWO) {
        amx_store(t, 1, out + 16, 4 * wide);
        amx_store(t, 3, out + 16 * wide + 16, 4 * wide);
    }
}

/* Adds the values of 64 keys from `first` on, weighted by s, which is split. */
MCV_INLINE void @symbol@_mix(const mcv_call *c, amx_state *t, float *s, float *out, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 32) * 32, columns = mcv_div_up(D, 16), part = 2048 * columns;
    char *values = (char *)tile;
    for (int64_t i = 0; i < columns; i++)
        for (int half = 0; half < 2; half++) {
            char *to = values + 2048 * i + 1024 * half;
            @symbol@_values(c, to, to + part, shared, first + 32 * half, 16 * i, seen);
        }
    for (int r = 0; r < rows; r++) {
        vf weights[4];
        MCV_UNROLL for (int i = 0; i < 4; i++) weights[i] = vf_load(s + r * 64 + 16 * i);
        MCV_UNROLL for (int i = 0; i < 4; i++) bf_split((uint16_t *)(s + r * 64) + 16 * i, (uint16_t *)(s + r * 64) + 64 + 16 * i, weights[i]);
    }
    for (int r = 0; r < rows; r += 32) {
        int64_t i = 0;
        for (; i + 2 <= columns; i += 2) @symbol@_add(t, s + r * 64, out + r * wide + 16 * i, values + 2048 * i, part, wide, 1);
        for (; i < columns; i++) @symbol@_add(t, s + r * 64, out + r * wide + 16 * i, values + 2048 * i, part, wide, 0);
    }
}
