/* ROWS rows of x from m on, `live` of them real, times PANELS panels of 16 channels: two rows and two channels a
   product. K goes by chunks, whose rows are laid side by side first. */
MCV_INLINE void @symbol@_pairs(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS, int64_t live) {
    @sizes@
    enum { CHUNK = 512 / @group@ };
    const int64_t groups = mcv_div_up(K, @group@);
    const int PAIRS = ROWS / 2;
    MCV_ALIGNED int8_t x[CHUNK][8][2 * @group@];
    /* What products begin with, for either half of four channels: read twice rather than copied between registers. */
    int32x4_t start[CHUNK][2][8];
    float32x4_t excess[CHUNK][2][8];
    float32x4_t scale[CHUNK][8], sum[@pair_panels@][4][2][8];
    for (int p = 0; p < PANELS; p++)
        for (int q = 0; q < 4; q++)
            for (int i = 0; i < 2 * 8; i++) sum[p][q][i / 8][i % 8] = vdupq_n_f32(0.0f);
    for (int64_t first = 0; first < groups; first += CHUNK) {
        const int count = (int)mcv_min(CHUNK, groups - first);
        for (int i = 0; i < PAIRS; i++) {
            const char *even = MCV_ROW(0, m + mcv_min(2 * i, live - 1)), *odd = MCV_ROW(0, m + mcv_min(2 * i + 1, live - 1));
            for (int b = 0; b < count; b++) {
                const int64_t at = (first + b) * @group@;
                const float s = octet_scale(((const float *)(even + groups * @group@))[first + b]);
                const float t = octet_scale(((const float *)(odd + groups * @group@))[first + b]);
                int32x4_t shift = vdupq_n_s32(MCV_BEGIN);
                MCV_UNROLL for (int k = 0; k < @group@; k += 8) {
                    const int8x16_t both = rows_load((const int8_t *)even + at + k, (const int8_t *)odd + at + k);
                    vst1q_s8(x[b][i] + 2 * k, both);
                    shift = rows_shift(shift, both, @zero@);
                }
                scale[b][i] = (float32x4_t){s, t, s, t};
                for (int half = 0; half < 2; half++) {
                    start[b][half][i] = shift;
                    excess[b][half][i] = vmulq_n_f32(scale[b][i], octet_excess(1.0f));
                }
            }
        }
        for (int p = 0; p < PANELS; p++)
            for (int q = 0; q < 4; q++) {
                const uint8_t *w = (const uint8_t *)c->arg[1].data + (panel[p] * groups + first) * @group_bytes@;
                float32x4_t acc[2][8];
                MCV_UNROLL for (int i = 0; i < 2; i++)
                    MCV_UNROLL for (int r = 0; r < PAIRS; r++) acc[i][r] = sum[p][q][i][r];
                for (int b = 0; b < count; b++, w += @group_bytes@) {
                    const float32x4_t channel = mcv_half4((const uint16_t *)w + 4 * q);
                    const float32x4_t twice[2] = {vzip1q_f32(channel, channel), vzip2q_f32(channel, channel)};
                    MCV_UNROLL for (int i = 0; i < 2; i++) {
                        uint8x16_t column[@group@ / 8];
                        MCV_UNROLL for (int j = 0; j < @octets@; j++) {
                            const uint8x16_t raw = vld1q_u8(w + 32 + 128 * j + 32 * q + 16 * i);
                            @octet_columns@
                        }
                        MCV_UNROLL for (int r = 0; r < PAIRS; r++) {
                            int32x4_t dot = start[b][i][r];
                            MCV_UNROLL for (int j = 0; j < @group@ / 8; j++) dot = rows_dot(dot, column[j], vld1q_s8(x[b][r] + 16 * j));
                            acc[i][r] = vfmaq_f32(acc[i][r], octet_scaled(dot, scale[b][r], excess[b][i][r]), twice[i]);
                        }
                    }
                }
                MCV_UNROLL for (int i = 0; i < 2; i++)
                    MCV_UNROLL for (int r = 0; r < PAIRS; r++) sum[p][q][i][r] = acc[i][r];
            }
    }
    MCV_ALIGNED float out[@pair_panels@][16][16];
    for (int p = 0; p < PANELS; p++)
        for (int q = 0; q < 4; q++)
            for (int r = 0; r < PAIRS; r++) {
                vst1q_f32(out[p][2 * r] + 4 * q, vuzp1q_f32(sum[p][q][0][r], sum[p][q][1][r]));
                vst1q_f32(out[p][2 * r + 1] + 4 * q, vuzp2q_f32(sum[p][q][0][r], sum[p][q][1][r]));
            }
    @pairs_put@
}
