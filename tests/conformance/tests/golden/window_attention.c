/* window_attention f32 f32 f32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 72;
    const int64_t H = 2;
    const int64_t W = 4;
    const float SCALE = 0.4f;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const int64_t first = m - m % W;
        for (int64_t head = 0; head < H; head++) {
            MCV_ALIGNED float shares[16];
            const float *q = (const float *)MCV_ROW(0, m) + head * D;
            for (int64_t w = 0; w < W; w++) {
                const float *k = (const float *)MCV_ROW(1, first + w) + head * D;
                vf sum = vf_set(0.0f);
                for (int64_t i = 0; i < D; i += 16) {
                    const int count = mcv_count(D, i);
                    sum = vf_fma(vf_load_n(q + i, count), vf_load_n(k + i, count), sum);
                }
                shares[w] = vf_sum(sum) * SCALE;
            }
            const vf scores = vf_first((int)W, vf_load_n(shares, (int)W), vf_set(-INFINITY));
            const vf e = vf_first((int)W, vf_exp(vf_sub(scores, vf_set(vf_top(scores)))), vf_set(0.0f));
            vf_store(shares, vf_mul(e, vf_set(1.0f / vf_sum(e))));
            float *y = (float *)MCV_ROW(3, m) + head * D;
            for (int64_t i = 0; i < D; i += 16) {
                const int count = mcv_count(D, i);
                vf mixed = vf_set(0.0f);
                for (int64_t w = 0; w < W; w++) {
                    const float *v = (const float *)MCV_ROW(2, first + w) + head * D;
                    mixed = vf_fma(vf_load_n(v + i, count), vf_set(shares[w]), mixed);
                }
                vf_store_n(y + i, mixed, count);
            }
        }
    }
}
