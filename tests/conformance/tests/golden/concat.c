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
        char *y = MCV_ROW(3, m);
        memcpy(y, MCV_ROW(0, m), 4 * (size_t)D0);
        y += 4 * D0;
        memcpy(y, MCV_ROW(1, m), 4 * (size_t)D1);
        y += 4 * D1;
        memcpy(y, MCV_ROW(2, m), 4 * (size_t)D2);
        y += 4 * D2;
    }
}
