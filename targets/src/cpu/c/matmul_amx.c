/* 16 rows of x from m on times one panel, by tiles. */
MCV_INLINE void @symbol@_panel16(const mcv_call *c, amx_state *t, int64_t panel, int64_t m, vf *acc) {
    @sizes@
    const int64_t groups = mcv_div_up(K, @group@);
    const int depth = @depth@;
    const char *w = c->arg[1].data + panel * groups * @group_bytes@;
    MCV_ALIGNED int32_t sums[256];
    MCV_UNROLL for (int r = 0; r < 16; r++) acc[r] = vf_set(0.0f);
    for (int64_t b = 0; b < groups; b++, w += @group_bytes@) {
        @unpack@
        amx_zero(t);
        for (int d = 0; d < @group@; d += depth) {
            amx_load_rows(t, MCV_ROW(0, m) + b * @group@ + d, c->arg[0].stride);
            amx_load_panel(t, bytes + 16 * d);
            amx_dot(t);
        }
        amx_store(t, sums);
        const vf channel = vf_load_f16((const uint16_t *)w);
        MCV_UNROLL for (int r = 0; r < 16; r++) {
            const float *s = (const float *)(MCV_ROW(0, m + r) + groups * @group@) + b;
            const vf scale = vf_set(s[0]);
            acc[r] = vf_fma(channel, @amx_sum@, acc[r]);
        }
    }
}
MCV_INLINE void @symbol@_sixteen(const mcv_call *c, amx_state *t, const int64_t *panel, const int PANELS, int64_t m) {
    @sizes@
    const int ROWS = 16;
    vf column[@panels@][16], acc[16][@panels@];
    for (int p = 0; p < PANELS; p++) {
        @symbol@_panel16(c, t, panel[p], m, column[p]);
        for (int r = 0; r < ROWS; r++) acc[r][p] = column[p][r];
    }
    @put@
}
