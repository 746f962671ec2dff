const int64_t index = ((const int32_t *)c->arg[2].data)[m];
const float *x = (const float *)(index >= 0 && index < R ? MCV_ROW(1, index) : MCV_ROW(0, m));
