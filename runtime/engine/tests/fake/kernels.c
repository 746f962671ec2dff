/* Kernels of a model that is all arithmetic: what it answers depends on every token and vector before, in order. */
typedef struct { unsigned char *data; long long stride; } Arg;
typedef struct { const Arg *arg; const long long *dim; const float *scalar; } Call;

static float *floats(const Call *call, int i) { return (float *)call->arg[i].data; }
static int *ints(const Call *call, int i) { return (int *)call->arg[i].data; }

long long encode_units(const Call *call) { (void)call; return 1; }
long long absorb_units(const Call *call) { return call->dim[0]; }
long long append_units(const Call *call) { (void)call; return 1; }
long long predict_units(const Call *call) { (void)call; return 1; }

/* patches, position_ids, grid_rows, grid_cols -> image_tokens; dims patches, slot; QUERIES vectors a slice. */
void encode(const Call *call, long long begin, long long end) {
    long long n = call->dim[0], slot = call->dim[1];
    float sum = 0;
    for (long long i = 0; i < n; i++)
        sum += (float)((ints(call, 2)[i] * 7 + ints(call, 3)[i] * 3 + ints(call, 1)[i]) % 97);
    sum += floats(call, 0)[0] > 0 ? 1 : 0;
    for (long long q = begin * QUERIES; q < end * QUERIES; q++) floats(call, 4)[slot + q] = sum * 10 + (float)q;
}

/* token_ids, positions, image_rows, image_tokens -> kv; dims tokens, pos. A wrong position poisons the row. */
void absorb(const Call *call, long long begin, long long end) {
    long long pos = call->dim[1];
    for (long long i = begin; i < end; i++) {
        int row = ints(call, 2)[i];
        float value = row < 0 ? (float)ints(call, 0)[i] : 1000 + floats(call, 3)[row];
        floats(call, 4)[pos + i] = ints(call, 1)[i] == pos + i ? value : -1;
    }
}

/* token_ids, positions -> kv; dim pos. */
void append(const Call *call, long long begin, long long end) {
    long long pos = call->dim[0];
    if (begin < end) floats(call, 2)[pos] = ints(call, 1)[0] == pos ? (float)ints(call, 0)[0] : -1;
}

/* kv -> logits; dim context. */
void predict(const Call *call, long long begin, long long end) {
    unsigned hash = 2166136261u;
    for (long long i = 0; i < call->dim[0]; i++) hash = (hash ^ (unsigned)(int)floats(call, 0)[i]) * 16777619u;
    hash >>= 8;
    for (int v = 0; v < VOCAB; v++) floats(call, 1)[v] = 0;
    if (begin < end) floats(call, 1)[hash % 11 == 0 ? STOP : 97 + hash % 26] = 1;
}
