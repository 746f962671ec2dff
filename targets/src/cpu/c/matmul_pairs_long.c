/* ROWS rows of x from m on, `live` of them real, times PANELS panels of 16 channels: two rows and two channels a
   product, whole numbers to the end of K, which goes by chunks whose rows are laid side by side first. */
MCV_INLINE void @symbol@_pairs(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS, int64_t live) {
    @sizes@
    enum { CHUNK = 512 };
    const int64_t group = @group@;
    const int PAIRS = ROWS / 2;
    const int8_t *even[8], *odd[8];
    MCV_ALIGNED int8_t x[CHUNK / 8][8][16];
    int32x4_t sum[@pair_panels@][4][2][8];
    float32x4_t scale[8];
    for (int r = 0; r < PAIRS; r++) {
        even[r] = (const int8_t *)MCV_ROW(0, m + mcv_min(2 * r, live - 1));
        odd[r] = (const int8_t *)MCV_ROW(0, m + mcv_min(2 * r + 1, live - 1));
        const float *s = (const float *)(even[r] + group), *t = (const float *)(odd[r] + group);
        const int32_t shift = -@zero@ * mcv_whole(s[1], s[0]), other = -@zero@ * mcv_whole(t[1], t[0]);
        scale[r] = (float32x4_t){s[0], t[0], s[0], t[0]};
        for (int i = 0; i < PANELS * 8; i++) sum[i / 8][i / 2 % 4][i % 2][r] = (int32x4_t){shift, other, shift, other};
    }
    for (int64_t first = 0; first < group; first += CHUNK) {
        const int count = (int)mcv_min(CHUNK, group - first) / 8;
        for (int k = 0; k < count; k++)
            MCV_UNROLL for (int r = 0; r < PAIRS; r++) vst1q_s8(x[k][r], rows_load(even[r] + first + 8 * k, odd[r] + first + 8 * k));
        for (int p = 0; p < PANELS; p++)
            for (int q = 0; q < 4; q++) {
                const uint8_t *w = (const uint8_t *)c->arg[1].data + panel[p] * @group_bytes@ + 32 + 16 * first + 32 * q;
                int32x4_t dot[2][8];
                MCV_UNROLL for (int i = 0; i < 2; i++)
                    MCV_UNROLL for (int r = 0; r < PAIRS; r++) dot[i][r] = sum[p][q][i][r];
                for (int k = 0; k < count; k++, w += 128) {
                    const uint8x16_t low = vld1q_u8(w), high = vld1q_u8(w + 16);
                    MCV_UNROLL for (int r = 0; r < PAIRS; r++) {
                        const int8x16_t both = vld1q_s8(x[k][r]);
                        dot[0][r] = rows_dot(dot[0][r], low, both);
                        dot[1][r] = rows_dot(dot[1][r], high, both);
                    }
                }
                MCV_UNROLL for (int i = 0; i < 2; i++)
                    MCV_UNROLL for (int r = 0; r < PAIRS; r++) sum[p][q][i][r] = dot[i][r];
            }
    }
    MCV_ALIGNED float out[@pair_panels@][16][16];
    for (int p = 0; p < PANELS; p++)
        for (int q = 0; q < 4; q++) {
            const uint16_t *half = (const uint16_t *)(c->arg[1].data + panel[p] * @group_bytes@) + 4 * q;
            const float32x4_t channel = mcv_half4(half);
            for (int r = 0; r < PAIRS; r++) {
                const float32x4_t low = vmulq_f32(vcvtq_f32_s32(sum[p][q][0][r]), scale[r]);
                const float32x4_t high = vmulq_f32(vcvtq_f32_s32(sum[p][q][1][r]), scale[r]);
                vst1q_f32(out[p][2 * r] + 4 * q, vmulq_f32(vuzp1q_f32(low, high), channel));
                vst1q_f32(out[p][2 * r + 1] + 4 * q, vmulq_f32(vuzp2q_f32(low, high), channel));
            }
        }
    @pairs_put@
}
