const int64_t wanted = ((const int32_t *)c->arg[1].data)[m];
const int64_t id = wanted < 0 ? 0 : wanted < R ? wanted : R - 1;
@from@
