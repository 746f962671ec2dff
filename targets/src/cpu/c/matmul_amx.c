/* 16 channels' values of a group, scaled and rounded to bf16, as pairs: 32 of each channel a tile. */
MCV_INLINE void @symbol@_unpack(const char *w, uint16_t *to) {
    const vf scale = vf_load_f16((const uint16_t *)w), less = vf_mul(scale, vf_set(@least@));
    @unpack@
}

/* Values k to k_end of rows m to m + live, the same: 32 of 16 rows a tile. */
MCV_INLINE void @symbol@_widen(const mcv_call *c, int64_t k, int64_t k_end, int64_t m, int live, uint16_t *to) {
    @sizes@
    const int64_t groups = mcv_div_up(K, @group@);
    for (int r = 0; r < live; r++) {
        const int8_t *x = (const int8_t *)MCV_ROW(0, m + r);
        const float *scales = (const float *)(x + groups * @group@);
        uint16_t *row = to + r / 16 * @tile_values@ + r % 16 * 32;
        for (int64_t i = k; i < k_end; i += 32, row += 512) {
            const vf scale = vf_set(scales[i / @group@]);
            vb_store(row, bf_join(bf_round(vf_mul(vf_load_i8(x + i), scale)), bf_round(vf_mul(vf_load_i8(x + i + 16), scale))));
        }
    }
}

/* `steps` tiles of rows, 32 rows if TALL, else 16, times two panels, added to `acc`. */
MCV_INLINE void @symbol@_chunk(amx_state *t, const uint16_t *rows, const uint16_t *columns, int64_t steps, int first, float *acc, const int TALL) {
    amx_open(t, first, acc, TALL);
    for (int64_t s = 0; s < steps; s++, rows += 512, columns += 512) {
        amx_load(t, 4, rows, 64);
        amx_load(t, 6, columns, 64);
        amx_load(t, 7, columns + @tile_values@, 64);
        amx_dot_bf16(t, 0, 4, 6);
        amx_dot_bf16(t, 1, 4, 7);
        if (TALL) {
            amx_load(t, 5, rows + @tile_values@, 64);
            amx_dot_bf16(t, 2, 5, 6);
            amx_dot_bf16(t, 3, 5, 7);
        }
    }
    amx_close(t, acc, TALL);
}

/* Finishes and stores rows m to m + live. */
MCV_INLINE void @symbol@_finish(const mcv_call *c, int64_t m, int live, int64_t p, int64_t p_end, const float *acc) {
    @sizes@
    const int pairs = @pair_count@;
    for (int q = 0; q < pairs; q++)
        for (int r = 0; r < live; r++) {
            const int64_t row = m + r;
            const float *sum = acc + 1024 * q + r / 16 * 512 + r % 16 * 16;
            const vf left = vf_load(sum), right = vf_load(sum + 256);
            @pair_put@
        }
}

/* Rows m to `end` times panels p to `p_end`, as far as tiles are worth it; the first row that is left. A step of K of
   all panels is unpacked once, then each 32 rows of it once. */
MCV_OUTLINE int64_t @symbol@_tiled(const mcv_call *c, amx_state *t, int64_t m, int64_t end, int64_t p, int64_t p_end) {
    @sizes@
    const int64_t panels = @all_panels@, groups = mcv_div_up(K, @group@), padded = groups * @group@;
    const int64_t chunk = @tile_values@ / 16, start = m;
    const int pairs = @pair_count@;
    MCV_ALIGNED uint16_t rows[2 * @tile_values@], columns[@most_pairs@][2][@tile_values@];
    MCV_ALIGNED float acc[@block_m@ / 32][@most_pairs@][1024];
    (void)panels;
    for (int64_t k = 0; k < padded; k += chunk) {
        const int64_t k_end = mcv_min(padded, k + chunk);
        for (int q = 0; q < pairs; q++) {
            const int64_t panel[2] = {@pair_panel@};
            for (int side = 0; side < 2; side++) {
                const char *w = c->arg[1].data + (panel[side] * groups + k / @group@) * @group_bytes@;
                uint16_t *to = columns[q][side];
                for (int64_t i = k; i < k_end; i += @group@, w += @group_bytes@, to += 16 * @group@) @symbol@_unpack(w, to);
            }
        }
        int shaped = 0;
        for (m = start; end - m >= 8; m = mcv_min(end, m + 32)) {
            const int live = (int)mcv_min(32, end - m);
            const amx_shapes shapes = amx_shapes_for(64, live);
            if (live != shaped) amx_configure(t, &shapes);
            shaped = live;
            @symbol@_widen(c, k, k_end, m, live, rows);
            if (k_end == padded) @symbol@_expect(c, m, live, p, p_end);
            for (int q = 0; q < pairs; q++) {
                float *sum = acc[(m - start) / 32][q];
                if (live > 16) @symbol@_chunk(t, rows, columns[q][0], (k_end - k) / 32, k == 0, sum, 1);
                else @symbol@_chunk(t, rows, columns[q][0], (k_end - k) / 32, k == 0, sum, 0);
            }
            if (k_end == padded) @symbol@_finish(c, m, live, p, p_end, acc[(m - start) / 32][0]);
        }
    }
    return m;
}
