/* Values k to k_end of a panel's channels, 64 of each a tile, zeros behind the last: loads of tiles whose rows lie across
   lines of the cache take three times as long. Rows of activations begin with a line. */
MCV_INLINE void @symbol@_pack_panel(const char *w, int64_t k, int64_t k_end, char *to) {
    const int64_t bytes = 16 * (k_end - k);
    for (int64_t i = 0; i < bytes; i += 64) vb_store(to + i, vb_load(w + 32 + 16 * k + i));
    if ((k_end - k) % 64) memset(to + bytes, 0, 512);
}

/* `steps` tiles of rows `stride` bytes apart, 32 rows if TALL, else 16, times two panels, added to `acc`. Meanwhile `lines` of each panel a
   step are brought near that are needed next. */
MCV_INLINE void @symbol@_chunk(amx_state *t, const char *rows, int64_t stride, const char *columns, int64_t steps, const char *const *next, int lines, int first, int32_t *acc, const int TALL) {
    amx_open(t, first, acc, TALL);
    for (int64_t s = 0; s < steps; s++, rows += 64, columns += 1024) {
        amx_load(t, 4, rows, stride);
        amx_load(t, 6, columns, 64);
        amx_load(t, 7, columns + @tile_bytes@, 64);
        amx_dot_unsigned(t, 0, 4, 6);
        amx_dot_unsigned(t, 1, 4, 7);
        if (TALL) {
            amx_load(t, 5, rows + 16 * stride, stride);
            amx_dot_unsigned(t, 2, 5, 6);
            amx_dot_unsigned(t, 3, 5, 7);
        }
        for (int i = 0; i < lines; i++) {
            MCV_PREFETCH(next[0] + 64 * (lines * s + i));
            MCV_PREFETCH(next[1] + 64 * (lines * s + i));
        }
    }
    amx_close(t, acc, TALL);
}

/* Scales, finishes and stores rows m to m + live. */
MCV_INLINE void @symbol@_finish(const mcv_call *c, int64_t m, int live, int64_t p, int64_t p_end, const int32_t *acc) {
    @sizes@
    const int64_t panels = @all_panels@, group = @group@;
    const int pairs = @pair_count@;
    (void)panels;
    float scale[32];
    int32_t shift[32];
    for (int r = 0; r < live; r++) {
        const float *s = (const float *)(MCV_ROW(0, m + r) + group);
        scale[r] = s[0];
        shift[r] = -@zero@ * mcv_whole(s[1], s[0]);
    }
    for (int q = 0; q < pairs; q++) {
        const int64_t panel[2] = {@pair_panel@};
        const vf near = vf_load_f16((const uint16_t *)(c->arg[1].data + panel[0] * @group_bytes@));
        const vf far = vf_load_f16((const uint16_t *)(c->arg[1].data + panel[1] * @group_bytes@));
        for (int r = 0; r < live; r++) {
            const int64_t row = m + r;
            const int32_t *sum = acc + 1024 * q + r / 16 * 512 + r % 16 * 16;
            const vi low = vi_set(shift[r]);
            const vf left = vf_mul(vf_mul(vf_from(vi_add(vi_load(sum), low)), vf_set(scale[r])), near);
            const vf right = vf_mul(vf_mul(vf_from(vi_add(vi_load(sum + 256), low)), vf_set(scale[r])), far);
            @pair_put@
        }
    }
}

/* Rows m to `end` times panels p to `p_end`, as far as tiles are worth it; the first row that is left. K goes by
   chunks, so that rows stay in the nearest cache while panels pass. Behind the last value of a row lies at least half
   a line more, times zeros. */
MCV_OUTLINE int64_t @symbol@_tiled(const mcv_call *c, amx_state *t, int64_t m, int64_t end, int64_t p, int64_t p_end) {
    @sizes@
    const int64_t panels = @all_panels@, group = @group@, start = m;
    const int64_t chunk = mcv_div_up(mcv_div_up(group, mcv_div_up(group, @tile_bytes@ / 16)), 64) * 64;
    const int pairs = @pair_count@, lines = (int)mcv_div_up(16, mcv_div_up(end - start, 32));
    MCV_ALIGNED char columns[@most_pairs@][2][@tile_bytes@];
    MCV_ALIGNED int32_t acc[@block_m@ / 32][@most_pairs@][1024];
    (void)panels;
    for (int64_t k = 0; k < group; k += chunk) {
        const int64_t k_end = mcv_min(group, k + chunk), steps = mcv_div_up(k_end - k, 64);
        for (int q = 0; q < pairs; q++) {
            const int64_t panel[2] = {@pair_panel@};
            for (int side = 0; side < 2; side++) @symbol@_pack_panel(c->arg[1].data + panel[side] * @group_bytes@, k, k_end, columns[q][side]);
        }
        int shaped = 0;
        for (m = start; end - m >= 8; m = mcv_min(end, m + 32)) {
            const int live = (int)mcv_min(32, end - m);
            const amx_shapes shapes = amx_shapes_for(64, live);
            if (live != shaped) amx_configure(t, &shapes);
            shaped = live;
            const char *rows = MCV_ROW(0, m) + k;
            if (k_end == group) @symbol@_expect(c, m, live, p, p_end);
            for (int q = 0; q < pairs; q++) {
                const int64_t panel[2] = {@pair_panel@}, block = (m - start) / 32;
                const int64_t ahead = (k_end < group ? 16 * k_end : 2 * pairs * @group_bytes@) + 64 * lines * steps * block;
                const char *next[2] = {c->arg[1].data + panel[0] * @group_bytes@ + ahead, c->arg[1].data + panel[1] * @group_bytes@ + ahead};
                if (live > 16) @symbol@_chunk(t, rows, c->arg[0].stride, columns[q][0], steps, next, lines, k == 0, acc[block][q], 1);
                else @symbol@_chunk(t, rows, c->arg[0].stride, columns[q][0], steps, next, lines, k == 0, acc[block][q], 0);
            }
            if (k_end == group) @symbol@_finish(c, m, live, p, p_end, acc[(m - start) / 32][0]);
        }
    }
    return m;
}
