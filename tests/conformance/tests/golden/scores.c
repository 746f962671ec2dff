/* scores f32 f16 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    const int64_t H = 4;
    return mcv_div_up(H * M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t C = c->dim[1];
    const int64_t D = 7;
    const int64_t H = 4;
    const int64_t KV = 2;
    const float SCALE = 0.3f;
    const int64_t last = mcv_min(H * M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const int64_t head = m / M, shared = head / (H / KV);
        const float *q = (const float *)MCV_ROW(0, m % M) + head * D;
        float *y = (float *)MCV_ROW(2, m);
        for (int64_t key = 0; key < C; key++) {
            const uint16_t *k = (const uint16_t *)MCV_ROW(1, key) + shared * D;
            vf sum = vf_set(0.0f);
            for (int64_t i = 0; i < D; i += 16) {
                const int count = mcv_count(D, i);
                sum = vf_fma(vf_load_n(q + i, count), vf_load_f16_n(k + i, count), sum);
            }
            y[key] = SCALE * vf_sum(sum);
        }
    }
}
