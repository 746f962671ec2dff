/* gather f32 i32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 33;
    const int64_t R = 9;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const int64_t wanted = ((const int32_t *)c->arg[1].data)[m];
        const int64_t id = wanted < 0 ? 0 : wanted < R ? wanted : R - 1;
        const char *row = MCV_ROW(0, id);
        float *y = (float *)MCV_ROW(2, m);
        for (int64_t n = 0; n < D; n += 16) {
            const int count = mcv_count(D, n);
            vf v = vf_load_n((const float *)row + n, count);
            vf_store_n(y + n, v, count);
        }
    }
}
