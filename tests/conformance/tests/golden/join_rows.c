/* join_rows f32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    const int64_t W = 4;
    return mcv_div_up(M / W, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 7;
    const int64_t W = 4;
    const int64_t last = mcv_min(M / W, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        float *y = (float *)MCV_ROW(1, m);
        for (int64_t row = m * W; row < (m + 1) * W; row++, y += D) {
            for (int64_t n = 0; n < D; n += 16) {
                const int count = mcv_count(D, n);
                vf_store_n(y + n, vf_load_n((const float *)MCV_ROW(0, row) + n, count), count);
            }
        }
    }
}
