/* rms_norm f32 f32 {scale} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 33;
    const float EPS = 1e-6f;
    const float FACTOR0 = 3.0f;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const float *x = (const float *)MCV_ROW(0, m);
        vf squares = vf_set(0.0f);
        for (int64_t n = 0; n < D; n += 16) {
            const vf part = vf_load_n(x + n, mcv_count(D, n));
            squares = vf_fma(part, part, squares);
        }
        const vf inverse_root = vf_set(1.0f / sqrtf(vf_sum(squares) / (float)D + EPS));
        float *y = (float *)MCV_ROW(2, m);
        for (int64_t n = 0; n < D; n += 16) {
            const int count = mcv_count(D, n);
            vf v = vf_mul(vf_mul(vf_load_n(x + n, count), inverse_root), vf_load_n((const float *)c->arg[1].data + n, count));
            v = vf_mul(v, vf_set(FACTOR0));
            vf_store_n(y + n, v, count);
        }
    }
}
