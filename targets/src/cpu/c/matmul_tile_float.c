/* ROWS rows of x from m on times PANELS panels of 16 channels. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    @sizes@
    const @weight@ *w[@panels@];
    const float *x[@rows@];
    vf acc[@rows@][@panels@];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        w[p] = (const @weight@ *)c->arg[1].data + panel[p] * K * 16;
        MCV_UNROLL for (int r = 0; r < ROWS; r++) acc[r][p] = vf_set(0.0f);
    }
    MCV_UNROLL for (int r = 0; r < ROWS; r++) x[r] = (const float *)MCV_ROW(0, m + r);
    MCV_PRAGMA(GCC unroll @unroll@)
    for (int64_t k = 0; k < K; k++) {
        vf column[@panels@];
        MCV_UNROLL for (int p = 0; p < PANELS; p++) column[p] = vf_load@weight_suffix@(w[p] + k * 16);
        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
            const vf value = vf_set(x[r][k]);
            MCV_UNROLL for (int p = 0; p < PANELS; p++) acc[r][p] = vf_fma(value, column[p], acc[r][p]);
        }
    }
    @put@
}
