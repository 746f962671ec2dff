/* 16 rows of x from m on, `live` of them real, times PANELS panels of 16 channels as outer products, whole numbers to
   the end of K, which goes by chunks whose rows are laid side by side first. */
MCV_INLINE void @symbol@_outer(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, int64_t live) {
    @sizes@
    enum { CHUNK = 512 };
    const int64_t group = @group@;
    MCV_ALIGNED int32_t x[CHUNK / 4][16], dot[16][16];
    MCV_ALIGNED float out[@pair_panels@][16][16];
    const char *row[16];
    for (int r = 0; r < 16; r++) row[r] = MCV_ROW(0, m + mcv_min(r, live - 1));
    outer_begin();
    for (int64_t first = 0; first < group; first += CHUNK) {
        const int count = (int)mcv_min(CHUNK, group - first) / 4;
        for (int k = 0; k < count; k++)
            MCV_UNROLL for (int r = 0; r < 16; r++) memcpy(&x[k][r], row[r] + first + 4 * k, 4);
        for (int p = 0; p < PANELS; p++)
            outer_add(p, x[0], (const uint8_t *)c->arg[1].data + panel[p] * @group_bytes@ + 32 + 16 * first, count / 2);
    }
    for (int p = 0; p < PANELS; p++) {
        const vf channel = vf_load_f16((const uint16_t *)(c->arg[1].data + panel[p] * @group_bytes@));
        outer_take(p, dot[0]);
        for (int r = 0; r < live; r++) {
            const float *s = (const float *)(row[r] + group);
            const vf sum = outer_shift(dot[r], -@zero@ * mcv_whole(s[1], s[0]));
            vf_store(out[p][r], vf_mul(vf_mul(sum, vf_set(s[0])), channel));
        }
    }
    outer_end();
    @pairs_put@
}
