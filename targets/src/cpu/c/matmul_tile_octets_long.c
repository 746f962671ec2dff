/* ROWS rows of x from m on times eight channels of a panel, the low or the high half: whole numbers to the end of K. */
MCV_INLINE void @symbol@_half(const mcv_call *c, int64_t panel, int half, int64_t m, const int ROWS, float32x4_t *low, float32x4_t *high) {
    @sizes@
    const int64_t group = @group@;
    const uint8_t *w = (const uint8_t *)c->arg[1].data + panel * @group_bytes@;
    const int8_t *x[@rows@];
    int32x4_t dot[@rows@][4];
    MCV_UNROLL for (int r = 0; r < ROWS; r++) {
        x[r] = (const int8_t *)MCV_ROW(0, m + r);
        const float *s = (const float *)(x[r] + group);
        const int32x4_t start = {-@zero@ * mcv_whole(s[1], s[0]), 0, -@zero@ * mcv_whole(s[1], s[0]), 0};
        MCV_UNROLL for (int i = 0; i < 4; i++) dot[r][i] = start;
    }
    for (int64_t k = 0; k < group; k += 8) {
        uint8x16_t column[4];
        MCV_UNROLL for (int i = 0; i < 4; i++) column[i] = octet_bytes(vld1q_u8(w + 32 + 16 * k + 64 * half + 16 * i));
        MCV_UNROLL for (int r = 0; r < ROWS; r++) {
            const int8x16_t eight = octet_load(x[r] + k);
            MCV_UNROLL for (int i = 0; i < 4; i++) dot[r][i] = octet_dot(dot[r][i], column[i], eight);
        }
    }
    const uint16_t *channel = (const uint16_t *)w + 8 * half;
    MCV_UNROLL for (int r = 0; r < ROWS; r++) {
        const float scale = *(const float *)(x[r] + group);
        low[r] = vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(octet_fold(dot[r][0], dot[r][1])), scale), mcv_half4(channel));
        high[r] = vmulq_f32(vmulq_n_f32(vcvtq_f32_s32(octet_fold(dot[r][2], dot[r][3])), scale), mcv_half4(channel + 4));
    }
}

/* The same times PANELS panels of 16 channels. */
MCV_INLINE void @symbol@_tile(const mcv_call *c, const int64_t *panel, const int PANELS, int64_t m, const int ROWS) {
    vf acc[@rows@][@panels@];
    MCV_UNROLL for (int p = 0; p < PANELS; p++) {
        float32x4_t four[4][@rows@];
        @symbol@_half(c, panel[p], 0, m, ROWS, four[0], four[1]);
        @symbol@_half(c, panel[p], 1, m, ROWS, four[2], four[3]);
        MCV_UNROLL for (int r = 0; r < ROWS; r++) acc[r][p] = (vf){four[0][r], four[1][r], four[2][r], four[3][r]};
    }
    @put@
}
