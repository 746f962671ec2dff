const float position = (float)((const int32_t *)c->arg[0].data)[m];
float *y = (float *)MCV_ROW(@result@, m);
for (int64_t i = 0; i < D / 2; i++) {
    const float angle = position * ((const float *)c->arg[1].data)[i]; /* an f32 product, as in the reference */
    const mcv_angle turn = mcv_turn(angle);
    y[i] = (float)turn.cosine * SCALE;
    y[D / 2 + i] = (float)turn.sine * SCALE;
}
