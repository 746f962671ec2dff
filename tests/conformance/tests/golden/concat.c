/* concat f32 f32 f32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D0 = 7;
    const int64_t D1 = 48;
    const int64_t D2 = 33;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        float *y = (float *)MCV_ROW(3, m);
        for (int64_t n = 0; n < D0; n += 16) {
            const int count = mcv_count(D0, n);
            vf_store_n(y + n, vf_load_n((const float *)MCV_ROW(0, m) + n, count), count);
        }
        y += D0;
        for (int64_t n = 0; n < D1; n += 16) {
            const int count = mcv_count(D1, n);
            vf_store_n(y + n, vf_load_n((const float *)MCV_ROW(1, m) + n, count), count);
        }
        y += D1;
        for (int64_t n = 0; n < D2; n += 16) {
            const int count = mcv_count(D2, n);
            vf_store_n(y + n, vf_load_n((const float *)MCV_ROW(2, m) + n, count), count);
        }
        y += D2;
    }
}
