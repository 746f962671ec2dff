const int32_t *position = (const int32_t *)c->arg[0].data + m * P;
float *y = (float *)MCV_ROW(@result@, m);
for (int64_t i = 0; i < D / 2; i++) {
    float angle = 0.0f;
    for (int64_t p = 0; p < P; p++) { /* f32 products, as in the reference: nothing is contracted across the cast */
        angle += (float)((double)position[p] * ((const float *)c->arg[1].data)[p * (D / 2) + i]);
    }
    const mcv_angle turn = mcv_turn(angle);
    y[i] = (float)turn.cosine * SCALE;
    y[D / 2 + i] = (float)turn.sine * SCALE;
}
