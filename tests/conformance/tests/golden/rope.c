/* rope f32 f32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 216;
    const int64_t H = 3;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const int64_t half = (D / H) / 2;
        const float *table = (const float *)MCV_ROW(1, m);
        for (int64_t head = 0; head < D; head += 2 * half) {
            const float *x = (const float *)MCV_ROW(0, m) + head;
            float *y = (float *)MCV_ROW(2, m) + head;
            for (int64_t i = 0; i < half; i += 16) {
                const int count = mcv_count(half, i);
                const vf co = vf_load_n(table + i, count), si = vf_load_n(table + half + i, count);
                const vf low = vf_load_n(x + i, count), high = vf_load_n(x + half + i, count);
                vf_store_n(y + i, vf_sub(vf_mul(low, co), vf_mul(high, si)), count);
                vf_store_n(y + half + i, vf_fma(high, co, vf_mul(low, si)), count);
            }
        }
    }
}
