const double position = (double)((const int32_t *)c->arg[0].data)[m];
float *y = (float *)MCV_ROW(@result@, m);
for (int64_t i = 0; i < D / 2; i++) {
    const double angle = position * (double)((const float *)c->arg[1].data)[i];
    y[i] = (float)(cos(angle) * (double)SCALE);
    y[D / 2 + i] = (float)(sin(angle) * (double)SCALE);
}
