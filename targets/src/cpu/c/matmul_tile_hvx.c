/* ROWS rows of x from m on times PANELS panels of 16 channels. Each row and each channel has one scale: sums stay whole
 * numbers to the end. K is padded with zeros inside the formats. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    @sizes@
    const char *w[@panels@];
    const int8_t *x[@rows@];
    HVX_Vector dot[@rows@][@panels@];
    vf acc[@rows@][@panels@];
    HVX_UNROLL for (int p = 0; p < PANELS; p++) w[p] = c->arg[1].data + panel[p] * @group_bytes@;
    HVX_UNROLL for (int r = 0; r < ROWS; r++) {
        x[r] = (const int8_t *)MCV_ROW(0, m + r);
        HVX_UNROLL for (int p = 0; p < PANELS; p++) dot[r][p] = hvx_zero();
    }
    for (int k = 0; k < (int)K; k += 8) {
        HVX_Vector column[@panels@];
        HVX_UNROLL for (int p = 0; p < PANELS; p++) column[p] = hvx_load(w[p] + 32 + 16 * k);
        HVX_UNROLL for (int r = 0; r < ROWS; r++) {
            const HVX_Vector eight = hvx_eight(x[r] + k);
            HVX_UNROLL for (int p = 0; p < PANELS; p++) dot[r][p] = hvx_dot(dot[r][p], column[p], eight);
        }
    }
    HVX_UNROLL for (int r = 0; r < ROWS; r++) {
        const float *s = (const float *)(x[r] + @group@);
        const int32_t zero = @zero@ * mcv_whole(s[1], s[0]);
        const vf scale = vf_set(s[0]);
        HVX_UNROLL for (int p = 0; p < PANELS; p++) {
            const vf whole = vf_from(hvx_fold(dot[r][p], zero));
            acc[r][p] = vf_mul(vf_mul(whole, scale), vf_load_f16((const uint16_t *)w[p]));
        }
    }
    @put@
}
