/* ROWS rows of x from m on times PANELS panels of 16 channels, four channels at a time. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    @sizes@
    const int64_t groups = mcv_div_up(K, @group@);
    const uint8_t *w[@panels@];
    float32x4_t sum[@rows@][@panels@][4];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        w[p] = (const uint8_t *)c->arg[1].data + panel[p] * groups * @group_bytes@;
        MCV_UNROLL for (int r = 0; r < ROWS; r++)
            MCV_UNROLL for (int q = 0; q < 4; q++) sum[r][p][q] = vdupq_n_f32(0.0f);
    }
    MCV_PRAGMA(GCC unroll @unroll@)
    for (int64_t b = 0; b < groups; b++) {
        const int8_t *x[@rows@];
        float32x4_t scale[@rows@], excess[@rows@];
        int32x4_t start[@rows@];
        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
            x[r] = (const int8_t *)MCV_ROW(0, m + r) + b * @group@;
            scale[r] = vdupq_n_f32(octet_scale(((const float *)(MCV_ROW(0, m + r) + groups * @group@))[b]));
            excess[r] = vmulq_n_f32(scale[r], octet_excess(1.0f));
            int32x4_t shift = {MCV_BEGIN, 0, MCV_BEGIN, 0};
            MCV_UNROLL for (int k = 0; @zero@ && k < @group@; k += 8) shift = octet_shift(shift, octet_load(x[r] + k), @zero@);
            start[r] = shift;
        }
        MCV_UNROLL for (int p = 0; p < PANELS; p++) {
            @prefetch@
            MCV_UNROLL for (int q = 0; q < 4; q++) {
                int32x4_t dot[@rows@][2];
                MCV_UNROLL for (int i = 0; i < 2; i++) {
                    MCV_UNROLL for (int r = 0; r < ROWS; r++) dot[r][i] = start[r];
                    MCV_STEPS for (int j = 0; j < @octets@; j++) {
                        const uint8x16_t raw = vld1q_u8(w[p] + 32 + 128 * j + 32 * q + 16 * i);
                        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
                            @octet_dot@
                        }
                    }
                }
                const float32x4_t channel = mcv_half4((const uint16_t *)w[p] + 4 * q);
                MCV_UNROLL for (int r = 0; r < ROWS; r++)
                    sum[r][p][q] = vfmaq_f32(sum[r][p][q], octet_scaled(octet_fold(dot[r][0], dot[r][1]), scale[r], excess[r]), channel);
            }
            w[p] += @group_bytes@;
        }
    }
    vf acc[@rows@][@panels@];
    MCV_UNROLL for (int r = 0; r < ROWS; r++)
        MCV_UNROLL for (int p = 0; p < PANELS; p++)
            acc[r][p] = (vf){sum[r][p][0], sum[r][p][1], sum[r][p][2], sum[r][p][3]};
    @put@
}
