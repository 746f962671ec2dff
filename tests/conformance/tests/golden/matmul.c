/* matmul q8/32@summed q4/32@panels16x4 {} -> f32 */
/* Finishes and stores columns n.. of row m: called once per sum over all of K, by every tile. */
MCV_OUTLINE void k0_put(const mcv_call *c, vf v, int64_t m, int64_t n) {
    const int64_t N = 48;
    const int64_t K = 96;
    const int count = mcv_count(N, n);
    vf_store_n((float *)MCV_ROW(2, m) + n, v, count);
}

/* ROWS rows of x from m on times PANELS panels of 16 channels. */
MCV_INLINE void k0_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    const int64_t K = 96;
    const int64_t groups = mcv_div_up(K, 32);
    const char *w[2];
    vf acc[2][2];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        w[p] = c->arg[1].data + panel[p] * groups * 288;
        MCV_UNROLL for (int r = 0; r < ROWS; r++) acc[r][p] = vf_set(0.0f);
    }
    MCV_PRAGMA(GCC unroll 1)
    for (int64_t b = 0; b < groups; b++) {
        vi dot[2][2];
        MCV_UNROLL for (int p = 0; p < PANELS; p++) {
            MCV_UNROLL for (int r = 0; r < ROWS; r++) dot[r][p] = vi_zero();
            if (ROWS == 1) MCV_UNROLL for (int i = 0; i < 5; i++) MCV_PREFETCH(w[p] + 64 * (16 + i));
            MCV_STEPS for (int j = 0; j < 4; j++) {
                const vb raw = vb_load(w[p] + 32 + 64 * j);
                MCV_UNROLL for (int r = 0; r < ROWS; r++) {
                    const int8_t *x = (const int8_t *)MCV_ROW(0, m + r) + b * 32 + 4 * j;
                    dot[r][p] = dot4_small(dot4_small(dot[r][p], vb_low4(raw), x), vb_high4(raw), x + 16);
                }
            }
        }
        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
            const float *s = (const float *)(MCV_ROW(0, m + r) + groups * 32) + b;
            const vf scale = vf_set(s[0]), shift = vf_set(-8.0f * s[groups]);
            MCV_UNROLL for (int p = 0; p < PANELS; p++)
                acc[r][p] = vf_fma(vf_load_f16((const uint16_t *)w[p]), vf_fma(vf_from(dot[r][p]), scale, shift), acc[r][p]);
        }
        MCV_UNROLL for (int p = 0; p < PANELS; p++) w[p] += 288;
    }
    MCV_UNROLL for (int r = 0; r < ROWS; r++)
        MCV_UNROLL for (int p = 0; p < PANELS; p++) k0_put(c, acc[r][p], m + r, panel[p] * 16);
}

MCV_INLINE void k0_rows(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, int64_t end) {
    for (; m + 2 <= end; m += 2) k0_tile(c, panel, PANELS, m, 2);
    for (; m + 1 <= end; m += 1) k0_tile(c, panel, PANELS, m, 1);
}

/* A unit: up to 64 rows times up to 4 panels. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    const int64_t N = 48;
    return mcv_div_up(M, 64) * mcv_div_up(mcv_div_up(N, 16), 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t N = 48;
    const int64_t panels = mcv_div_up(N, 16), across = mcv_div_up(panels, 4);
    for (int64_t u = begin; u < end; u++) {
        const int64_t down = u / across, right = u % across;
        int64_t m = down * 64;
        const int64_t m_end = mcv_min(M, m + 64);
        const int64_t p_end = mcv_min(panels, (right + 1) * 4);
        int64_t p = right * 4;
        if (m_end - m == 1)
            for (; p + 2 <= p_end; p += 2) {
                const int64_t panel[] = {p, p + 1};
                k0_tile(c, panel, 2, m, 1);
            }
        for (; p + 1 <= p_end; p += 1) {
            const int64_t panel[] = {p};
            k0_rows(c, panel, 1, m, m_end);
        }
    }
}
