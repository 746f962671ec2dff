/* ROWS rows of x from m on times PANELS panels of 16 channels. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    @sizes@
    const int64_t groups = mcv_div_up(K, @group@);
    const char *w[@panels@];
    vf acc[@rows@][@panels@];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        w[p] = c->arg[1].data + panel[p] * groups * @group_bytes@;
        MCV_UNROLL for (int r = 0; r < ROWS; r++) acc[r][p] = vf_set(0.0f);
    }
    MCV_PRAGMA(GCC unroll @unroll@)
    for (int64_t b = 0; b < groups; b++) {
        vi dot[@rows@][@panels@];
        MCV_UNROLL for (int p = 0; p < PANELS; p++) {
            MCV_UNROLL for (int r = 0; r < ROWS; r++) dot[r][p] = vi_zero();
            @prefetch@
            MCV_STEPS for (int j = 0; j < @steps@; j++) {
                const vb raw = vb_load(w[p] + 32 + 64 * j);
                MCV_UNROLL for (int r = 0; r < ROWS; r++) {
                    const int8_t *x = (const int8_t *)MCV_ROW(0, m + r) + b * @group@ + 4 * j;
                    dot[r][p] = @dot@;
                }
            }
        }
        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
            const float *s = (const float *)(MCV_ROW(0, m + r) + groups * @group@) + b;
            const vf scale = vf_set(s[0]), shift = vf_set(-@zero@.0f * s[groups]);
            MCV_UNROLL for (int p = 0; p < PANELS; p++)
                acc[r][p] = vf_fma(vf_load_f16((const uint16_t *)w[p]), vf_fma(vf_from(dot[r][p]), scale, shift), acc[r][p]);
        }
        MCV_UNROLL for (int p = 0; p < PANELS; p++) w[p] += @group_bytes@;
    }
    @put@
}
