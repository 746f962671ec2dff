/* rope_table i32 f32 {} -> f32 */
/* A unit: 4 rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    return mcv_div_up(M, 4);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t D = 72;
    const int64_t P = 1;
    const float SCALE = 1.5f;
    const int64_t last = mcv_min(M, end * 4);
    for (int64_t m = begin * 4; m < last; m++) {
        const int32_t *position = (const int32_t *)c->arg[0].data + m * P;
        float *y = (float *)MCV_ROW(2, m);
        for (int64_t i = 0; i < D / 2; i++) {
            float angle = 0.0f;
            for (int64_t p = 0; p < P; p++) { /* f32 products, as in the reference: nothing is contracted across the cast */
                angle += (float)((double)position[p] * ((const float *)c->arg[1].data)[p * (D / 2) + i]);
            }
            const mcv_angle turn = mcv_turn(angle);
            y[i] = (float)turn.cosine * SCALE;
            y[D / 2 + i] = (float)turn.sine * SCALE;
        }
    }
}
