/* Attention by tiles of bf16. Weights are powers of 2, so scores are scaled by log2 e. Panels of @held@ keys are made at a
   time for all rows of a unit; @few@ rows of scores with @keys@ keys at a time stay in the first cache. */

@numbers@

/* Keys that query row `row` of a key head sees. */
MCV_INLINE int64_t @symbol@_seen(const mcv_call *c, int64_t row) {
    @sizes@
    (void)row;
    return @seen@;
}

/* Panels of keys and values of @held@ keys from `first` on: first all that are rounded, then what rounding left. */
MCV_INLINE void @symbol@_panels(const mcv_call *c, char *keys, char *values, int64_t shared, int64_t first, int64_t seen) {
    @sizes@
    const int64_t steps = mcv_div_up(D, 32), columns = mcv_div_up(D, 16), count = mcv_min(@held@, seen - first);
    for (int64_t j = 0; j < mcv_div_up(count, 32) * 2; j++)
        for (int64_t step = 0; step < steps; step++) {
            char *to = keys + 1024 * (j * steps + step);
            @symbol@_keys(c, to, to + @split@ * 64 * @held@ * steps, shared, first + 16 * j, 32 * step, seen);
        }
    for (int64_t i = 0; i < columns; i++)
        for (int64_t j = 0; j < mcv_div_up(count, 32); j++) {
            char *to = values + 32 * @held@ * i + 1024 * j;
            @symbol@_values(c, to, to + @split@ * 32 * @held@ * columns, shared, first + 32 * j, 16 * i, seen);
        }
}

/* Loads what the first products of 32 rows and two panels take: rows, rounded; panels, what rounding left, if split. */
MCV_INLINE void @symbol@_first(amx_state *t, const char *rows, int64_t stride, const char *panel, int64_t other) {
    amx_load(t, 4, rows, stride);
    amx_load(t, 6, panel, 64);
    amx_load(t, 7, panel + other, 64);
    amx_load(t, 5, rows + 16 * stride, stride);
}

/* Adds 32 rows times two panels, or one, to tiles 0 to 3. What @symbol@_first loads is there. Three products if numbers
   are split: `rest` bytes behind what is rounded is what rounding left, of rows and of panels. */
MCV_INLINE void @symbol@_products(amx_state *t, const char *rows, int64_t stride, int64_t rest, const char *panel, int64_t other, const int TWO) {
    MCV_UNROLL for (int i = 0; i < @products@; i++) {
        if (i == 1) {
            amx_load(t, 6, panel, 64);
            if (TWO) amx_load(t, 7, panel + other, 64);
        }
        if (i == 2) {
            amx_load(t, 4, rows + rest, stride);
            amx_load(t, 5, rows + rest + 16 * stride, stride);
        }
        amx_dot_bf16(t, 0, 4, 6);
        if (TWO) amx_dot_bf16(t, 1, 4, 7);
        amx_dot_bf16(t, 2, 5, 6);
        if (TWO) amx_dot_bf16(t, 3, 5, 7);
    }
}

/* Scores of `rows` queries with `count` keys. Loads do not pass older stores, so the next block's stand before them. */
MCV_INLINE void @symbol@_scores(amx_state *t, const char *q, float *s, const char *keys, int64_t wide, int64_t rows, int64_t count) {
    const int64_t steps = wide / 32, part = @split@ * 64 * @held@ * steps, row = @row@ * wide;
    const int64_t down = rows / 32, blocks = down * mcv_div_up(count, 32);
    @symbol@_first(t, q, row, keys + part, 1024 * steps);
    for (int64_t n = 0; n < blocks; n++) {
        const char *upper = q + n % down * 32 * row, *panel = keys + n / down * 2048 * steps;
        amx_zero(t, 0);
        amx_zero(t, 1);
        amx_zero(t, 2);
        amx_zero(t, 3);
        for (int64_t step = 0; step < steps; step++) {
            const char *now = panel + 1024 * step;
            if (step) @symbol@_first(t, upper + 64 * step, row, now + part, 1024 * steps);
            @symbol@_products(t, upper + 64 * step, row, 2 * wide, now, 1024 * steps, 1);
        }
        const int64_t next = n + 1 < blocks ? n + 1 : 0;
        const char *panels = keys + next / down * 2048 * steps;
        @symbol@_first(t, q + next % down * 32 * row, row, panels + part, 1024 * steps);
        float *to = s + n % down * 32 * @keys@ + n / down * 32;
        amx_store(t, 0, to, 4 * @keys@);
        amx_store(t, 1, to + 16, 4 * @keys@);
        amx_store(t, 2, to + 16 * @keys@, 4 * @keys@);
        amx_store(t, 3, to + 16 * @keys@ + 16, 4 * @keys@);
    }
}

/* Turns a row's scores, `live` of them seen, into weights against the new maximum; rescales what was summed. */
MCV_INLINE void @symbol@_weigh(float *s, int64_t live, float *most, float *total, float *out, int64_t wide, float scale) {
    vf x[@keys@ / 16], top = vf_set(-1e30f);
    MCV_UNROLL for (int i = 0; i < @keys@ / 16; i++) x[i] = vf_load(s + 16 * i);
    if (live < @keys@)
        for (int i = 0; i < @keys@ / 16; i++) x[i] = vf_first(live > 16 * i ? mcv_count(live, 16 * i) : 0, x[i], vf_set(-1e30f));
    MCV_UNROLL for (int i = 0; i < @keys@ / 16; i++) top = vf_max(top, x[i]);
    const float best = vf_top(top) * scale;
    vf sum = vf_load(total);
    if (best > *most) {
        const vf keep = vf_power(vf_set(*most - best));
        *most = best;
        sum = vf_mul(sum, keep);
        for (int64_t i = 0; i < wide; i += 16) vf_store(out + i, vf_mul(vf_load(out + i), keep));
    }
    const vf shift = vf_set(-*most), factor = vf_set(scale);
    uint16_t *to = (uint16_t *)s;
    MCV_UNROLL for (int i = 0; i < @keys@ / 16; i += 2) {
        const vf even = @symbol@_power(vf_fma(x[i], factor, shift)), odd = @symbol@_power(vf_fma(x[i + 1], factor, shift));
        sum = vf_add(sum, vf_add(even, odd));
        @symbol@_weights(to + 16 * i, even, odd);
    }
    vf_store(total, sum);
}

/* Adds `count` values weighted by the rows of s to 32 rows of two tiles of columns, or one. */
MCV_INLINE void @symbol@_add(amx_state *t, const float *s, float *out, const char *values, int64_t part, int64_t wide, int64_t count, const int TWO) {
    const int64_t stride = 4 * @keys@, other = TWO ? 32 * @held@ : 0;
    amx_load(t, 0, out, 4 * wide);
    if (TWO) amx_load(t, 1, out + 16, 4 * wide);
    amx_load(t, 2, out + 16 * wide, 4 * wide);
    if (TWO) amx_load(t, 3, out + 16 * wide + 16, 4 * wide);
    for (int64_t j = 0; j < mcv_div_up(count, 32); j++) {
        const char *rows = (const char *)s + 64 * j, *panel = values + 1024 * j;
        @symbol@_first(t, rows, stride, panel + part, other);
        @symbol@_products(t, rows, stride, 2 * @keys@, panel, other, TWO);
    }
    amx_store(t, 0, out, 4 * wide);
    if (TWO) amx_store(t, 1, out + 16, 4 * wide);
    amx_store(t, 2, out + 16 * wide, 4 * wide);
    if (TWO) amx_store(t, 3, out + 16 * wide + 16, 4 * wide);
}

/* Adds `count` values weighted by `rows` rows of s. */
MCV_INLINE void @symbol@_mix(const mcv_call *c, amx_state *t, const float *s, float *out, const char *values, int64_t rows, int64_t count) {
    @sizes@
    const int64_t wide = mcv_div_up(D, 32) * 32, columns = mcv_div_up(D, 16), part = @split@ * 32 * @held@ * columns;
    for (int64_t r = 0; r < rows; r += 32) {
        int64_t i = 0;
        for (; i + 2 <= columns; i += 2) @symbol@_add(t, s + r * @keys@, out + r * wide + 16 * i, values + 32 * @held@ * i, part, wide, count, 1);
        for (; i < columns; i++) @symbol@_add(t, s + r * @keys@, out + r * wide + 16 * i, values + 32 * @held@ * i, part, wide, count, 0);
    }
}

/* A unit: @block@ query rows of a key head. */
MCV_API int64_t @symbol@_units(const mcv_call *c) {
    @sizes@
    return KV * mcv_div_up(M * (H / KV), @block@);
}

MCV_API void @symbol@(const mcv_call *c, int64_t begin, int64_t end) {
    @sizes@
    const int64_t G = H / KV, blocks = mcv_div_up(M * G, @block@), wide = mcv_div_up(D, 32) * 32;
    MCV_ALIGNED char q[@row@ * @block@ * @wide@], keys[@row@ * @held@ * @wide@], values[@row@ * @held@ * @wide@];
    MCV_ALIGNED float out[@block@ * @wide@], s[@few@ * @keys@], total[@block@ * 16];
    float most[@block@];
    amx_state state;
    const amx_shapes shapes = amx_shapes_for(64, 32);
    amx_configure(&state, &shapes);
    for (int64_t u = begin; u < end; u++) {
        const int64_t shared = u / blocks, start = u % blocks * @block@;
        const int64_t rows = mcv_min(@block@, M * G - start), filled = mcv_div_up(rows, 32) * 32;
        for (int64_t i = 0; i < filled * wide; i++) out[i] = 0.0f;
        for (int64_t i = 0; i < rows * 16; i++) total[i] = 0.0f;
        for (int64_t r = 0; r < rows; r++) most[r] = -1e30f;
        @symbol@_queries(c, q, shared, start, rows, filled);
        const int64_t seen = mcv_min(C, @symbol@_seen(c, start + rows - 1));
        for (int64_t first = 0; first < seen; first += @held@) {
            @symbol@_panels(c, keys, values, shared, first, seen);
            for (int64_t few = 0; few < rows; few += @few@) {
                const int64_t some = mcv_min(@few@, filled - few), last = mcv_min(few + @few@, rows);
                const int64_t near = mcv_min(seen, mcv_min(first + @held@, @symbol@_seen(c, start + last - 1)));
                for (int64_t key = first; key < near; key += @keys@) {
                    const int64_t at = key - first, count = mcv_min(@keys@, near - key);
                    @symbol@_scores(&state, q + @row@ * few * wide, s, keys + 2 * wide * at, wide, some, count);
                    for (int64_t r = few; r < last; r++)
                        @symbol@_weigh(s + (r - few) * @keys@, @symbol@_seen(c, start + r) - key, most + r, total + 16 * r, out + r * wide, wide, @scale@);
                    @symbol@_mix(c, &state, s, out + few * wide, values + 32 * at, some, count);
                }
            }
        }
        for (int64_t r = 0; r < rows; r++) {
            const int64_t m = (start + r) / G, head = (shared * G + (start + r) % G) * D;
            const vf factor = vf_set(1.0f / vf_sum(vf_load(total + 16 * r)));
            float *y = (float *)MCV_ROW(@result@, m) + head;
            for (int64_t i = 0; i < D; i += 16) vf_store_n(y + i, vf_mul(vf_load(out + r * wide + i), factor), mcv_count(D, i));
        }
    }
    amx_release(&state);
}
