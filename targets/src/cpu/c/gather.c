const int64_t id = ((const int32_t *)c->arg[1].data)[m];
const char *row = MCV_ROW(0, id < 0 ? 0 : id < R ? id : R - 1);
