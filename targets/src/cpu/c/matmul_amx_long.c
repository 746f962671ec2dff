/* `live` rows of x from m on, more than 16 if TALL, times two panels, values k to k_end of K added to `acc`. */
MCV_INLINE void @symbol@_chunk(const mcv_call *c, amx_state *t, const char *left, const char *right, int64_t k, int64_t k_end, int64_t m, int live, int32_t *acc, const int TALL) {
    @sizes@
    const int64_t stride = c->arg[0].stride;
    const char *x = MCV_ROW(0, m);
    if (k == 0) {
        amx_zero(t, 0);
        amx_zero(t, 1);
        if (TALL) {
            amx_zero(t, 2);
            amx_zero(t, 3);
        }
    } else {
        amx_load(t, 0, acc, 64);
        amx_load(t, 1, acc + 256, 64);
        if (TALL) {
            amx_load(t, 2, acc + 512, 64);
            amx_load(t, 3, acc + 768, 64);
        }
    }
    for (; k + 64 <= k_end; k += 64) {
        amx_load(t, 4, x + k, stride);
        amx_load(t, 6, left + 16 * k, 64);
        amx_load(t, 7, right + 16 * k, 64);
        amx_dot_unsigned(t, 0, 4, 6);
        amx_dot_unsigned(t, 1, 4, 7);
        if (TALL) {
            amx_load(t, 5, x + 16 * stride + k, stride);
            amx_dot_unsigned(t, 2, 5, 6);
            amx_dot_unsigned(t, 3, 5, 7);
        }
    }
    if (k < k_end) {
        /* The last 32 values, zeros behind them. */
        MCV_ALIGNED char rows[32][64], columns[2][16 * 64];
        for (int r = 0; r < live; r++) {
            memcpy(rows[r], x + r * stride + k, 32);
            memset(rows[r] + 32, 0, 32);
        }
        memcpy(columns[0], left + 16 * k, 512);
        memcpy(columns[1], right + 16 * k, 512);
        memset(columns[0] + 512, 0, 512);
        memset(columns[1] + 512, 0, 512);
        amx_load(t, 4, rows, 64);
        amx_load(t, 6, columns[0], 64);
        amx_load(t, 7, columns[1], 64);
        amx_dot_unsigned(t, 0, 4, 6);
        amx_dot_unsigned(t, 1, 4, 7);
        if (TALL) {
            amx_load(t, 5, rows[16], 64);
            amx_dot_unsigned(t, 2, 5, 6);
            amx_dot_unsigned(t, 3, 5, 7);
        }
    }
    amx_store(t, 0, acc, 64);
    amx_store(t, 1, acc + 256, 64);
    if (TALL) {
        amx_store(t, 2, acc + 512, 64);
        amx_store(t, 3, acc + 768, 64);
    }
}

/* Scales, finishes and stores rows m to m + live. */
MCV_INLINE void @symbol@_finish(const mcv_call *c, int64_t m, int live, int64_t p, int64_t p_end, const int32_t *acc) {
    @sizes@
    const int64_t panels = @all_panels@, group = @group@;
    const int pairs = @pair_count@;
    (void)panels;
    for (int r = 0; r < live; r++) {
        const int64_t row = m + r;
        const float *s = (const float *)(MCV_ROW(0, row) + group);
        const vi shift = vi_set(-@zero@ * mcv_whole(s[1], s[0]));
        const vf scale = vf_set(s[0]);
        for (int q = 0; q < pairs; q++) {
            const int64_t panel[2] = {@pair_panel@};
            const int32_t *sum = acc + 1024 * q + r / 16 * 512 + r % 16 * 16;
            const vf near = vf_load_f16((const uint16_t *)(c->arg[1].data + panel[0] * @group_bytes@));
            const vf far = vf_load_f16((const uint16_t *)(c->arg[1].data + panel[1] * @group_bytes@));
            const vf left = vf_mul(vf_mul(vf_from(vi_add(vi_load(sum), shift)), scale), near);
            const vf right = vf_mul(vf_mul(vf_from(vi_add(vi_load(sum + 256), shift)), scale), far);
            @pair_put@
        }
    }
}

/* Rows m to `end` times panels p to `p_end`, as far as tiles are worth it; the first row that is left. K goes by
   chunks, so that rows stay in the nearest cache while panels pass. */
MCV_OUTLINE int64_t @symbol@_tiled(const mcv_call *c, amx_state *t, int64_t m, int64_t end, int64_t p, int64_t p_end) {
    @sizes@
    const int64_t panels = @all_panels@, group = @group@, chunk = mcv_div_up(mcv_div_up(group, mcv_div_up(group, 1280)), 64) * 64, start = m;
    const int pairs = @pair_count@;
    MCV_ALIGNED int32_t acc[@block_m@ / 32][@most_pairs@][1024];
    (void)panels;
    for (int64_t k = 0; k < group; k += chunk) {
        int shaped = 0;
        for (m = start; end - m >= 8; m = mcv_min(end, m + 32)) {
            const int live = (int)mcv_min(32, end - m);
            const amx_shapes shapes = amx_shapes_for(64, live);
            if (live != shaped) amx_configure(t, &shapes);
            shaped = live;
            if (k + chunk >= group) @symbol@_expect(c, m, live, p, p_end);
            for (int q = 0; q < pairs; q++) {
                const int64_t panel[2] = {@pair_panel@};
                const char *left = c->arg[1].data + panel[0] * @group_bytes@ + 32, *right = c->arg[1].data + panel[1] * @group_bytes@ + 32;
                int32_t *sum = acc[(m - start) / 32][q];
                if (live > 16) @symbol@_chunk(c, t, left, right, k, mcv_min(group, k + chunk), m, live, sum, 1);
                else @symbol@_chunk(c, t, left, right, k, mcv_min(group, k + chunk), m, live, sum, 0);
            }
            if (k + chunk >= group) @symbol@_finish(c, m, live, p, p_end, acc[(m - start) / 32][0]);
        }
    }
    return m;
}
