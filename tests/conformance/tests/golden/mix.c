/* mix f32 f16 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t C = c->dim[1];
    const int64_t D = 21;
    const int64_t H = 4;
    const int64_t KV = 2;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        for (int64_t head = 0; head < H; head++) {
            const float *p = (const float *)MCV_ROW(0, head * M + m);
            float *y = (float *)MCV_ROW(2, m) + head * D;
            for (int64_t i = 0; i < D; i += 16) {
                const int count = mcv_count(D, i);
                vf sum = vf_set(0.0f);
                for (int64_t key = 0; key < C; key++) {
                    const uint16_t *v = (const uint16_t *)MCV_ROW(1, key) + head / (H / KV) * D;
                    sum = vf_fma(vf_set(p[key]), vf_load_f16_n(v + i, count), sum);
                }
                vf_store_n(y + i, sum, count);
            }
        }
    }
}
