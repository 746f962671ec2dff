const float position = (float)((const int32_t *)c->arg[0].data)[m];
float *y = (float *)MCV_ROW(@result@, m);
for (int64_t i = 0; i < D / 2; i++) {
    const double angle = position * ((const float *)c->arg[1].data)[i]; /* an f32 product, as in the reference */
    y[i] = (float)cos(angle) * SCALE;
    y[D / 2 + i] = (float)sin(angle) * SCALE;
}
