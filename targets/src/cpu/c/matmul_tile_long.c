/* ROWS rows of x from m on times PANELS panels of 16 channels: whole numbers to the end of a group. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    @sizes@
    const int64_t group = @group@, groups = mcv_div_up(K, group);
    const char *w[@panels@];
    vf acc[@rows@][@panels@];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        w[p] = c->arg[1].data + panel[p] * groups * @group_bytes@;
        MCV_UNROLL for (int r = 0; r < ROWS; r++) acc[r][p] = vf_set(0.0f);
    }
    for (int64_t b = 0; b < groups; b++) {
        vi dot[@rows@][@panels@];
        const int8_t *x[@rows@];
        float scale[@rows@];
        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
            const float *s = (const float *)(MCV_ROW(0, m + r) + groups * group) + b;
            x[r] = (const int8_t *)MCV_ROW(0, m + r) + b * group;
            scale[r] = s[0];
            MCV_UNROLL for (int p = 0; p < PANELS; p++) dot[r][p] = vi_set(-@zero@ * mcv_whole(s[groups], s[0]));
        }
        for (int64_t k = 0; k < group; k += 4) {
            vb column[@panels@];
            MCV_UNROLL for (int p = 0; p < PANELS; p++) {
                column[p] = vb_load(w[p] + 32 + 16 * k);
                @prefetch@
            }
            MCV_UNROLL for (int r = 0; r < ROWS; r++)
                MCV_UNROLL for (int p = 0; p < PANELS; p++) dot[r][p] = dot4(dot[r][p], column[p], x[r] + k);
        }
        MCV_UNROLL for (int p = 0; p < PANELS; p++) {
            const vf channel = vf_load_f16((const uint16_t *)w[p]);
            MCV_UNROLL for (int r = 0; r < ROWS; r++)
                acc[r][p] = vf_fma(channel, vf_mul(vf_from(dot[r][p]), vf_set(scale[r])), acc[r][p]);
            w[p] += @group_bytes@;
        }
    }
    @put@
}
