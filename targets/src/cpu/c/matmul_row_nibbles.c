/* One row of x times PANELS panels of 16 channels of 4 bits, two channels a product. Bytes are not taken apart into low
   and high nibbles: a byte times the low half's x, and its high nibble times the high half's x, are 16 * high * low
   half's x too much, and that sum falls off in the product's second row. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    @sizes@
    const int64_t groups = mcv_div_up(K, @group@);
    const int8_t *x = (const int8_t *)MCV_ROW(0, m);
    const float *scales = (const float *)(x + groups * @group@);
    const uint8_t *w[@panels@];
    float32x4_t sum[@panels@][4];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        w[p] = (const uint8_t *)c->arg[1].data + panel[p] * groups * @group_bytes@;
        MCV_UNROLL for (int q = 0; q < 4; q++) sum[p][q] = vdupq_n_f32(0.0f);
    }
    int32x4_t sixteen = vdupq_n_s32(16);
    MCV_OPAQUE(sixteen);
    for (int64_t b = 0; b < groups; b++, x += @group@) {
        const float32x4_t scale = vdupq_n_f32(octet_scale(scales[b]));
        int8x16_t whole[@octets@], high[@octets@];
        int32x4_t shift = vdupq_n_s32(0);
        MCV_UNROLL for (int j = 0; j < @octets@; j++) {
            whole[j] = vcombine_s8(vld1_s8(x + 8 * j), vdup_n_s8(0));
            high[j] = rows_load(x + 8 * j + @group@ / 2, x + 8 * j);
            shift = rows_shift(shift, high[j], 8);
        }
        /* Read for every product rather than copied between registers. */
        const volatile float32x4_t excess = vmulq_n_f32(scale, octet_excess(1.0f));
        const volatile int32x4_t start = {MCV_BEGIN + shift[0] + shift[1], 0, MCV_BEGIN + shift[0] + shift[1], 0};
        MCV_UNROLL for (int p = 0; p < PANELS; p++) {
            @prefetch@
            MCV_UNROLL for (int q = 0; q < 4; q++) {
                int32x4_t dot[2];
                MCV_UNROLL for (int i = 0; i < 2; i++) {
                    dot[i] = start;
                    MCV_UNROLL for (int j = 0; j < @octets@; j++) {
                        const uint8x16_t raw = vld1q_u8(w[p] + 32 + 128 * j + 32 * q + 16 * i);
                        dot[i] = rows_dot(rows_dot(dot[i], raw, whole[j]), octet_high4(raw), high[j]);
                    }
                }
                const int32x4_t exact = vmlsq_s32(vuzp1q_s32(dot[0], dot[1]), vuzp2q_s32(dot[0], dot[1]), sixteen);
                sum[p][q] = vfmaq_f32(sum[p][q], octet_scaled(exact, scale, excess), mcv_half4((const uint16_t *)w[p] + 4 * q));
                if (q % 2) MCV_IN_TURN(sum[p][q - 1], sum[p][q]);
            }
            w[p] += @group_bytes@;
        }
    }
    vf acc[@rows@][@panels@];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) acc[0][p] = (vf){sum[p][0], sum[p][1], sum[p][2], sum[p][3]};
    @put@
}
