/* What the tile instructions mean, as C; see "TDPBSUD", "TDPBF16PS", "TILELOADD", "LDTILECFG" in the vendor's manual. */
typedef struct { amx_shapes shapes; int configured; uint8_t tile[8][16][64]; } amx_state;

static void amx_configure(amx_state *t, const amx_shapes *s) {
    memset(t, 0, sizeof *t);
    t->shapes = *s;
    t->configured = s->palette == 1 && sizeof *s == 64;
    for (int i = 0; i < 8; i++)
        if (!s->rows[i] || s->rows[i] > 16 || !s->bytes[i] || s->bytes[i] > 64) t->configured = 0;
}
static void amx_release(amx_state *t) { memset(t, 0, sizeof *t); }
static void amx_zero(amx_state *t, int tile) { memset(t->tile[tile], 0, sizeof t->tile[tile]); }
static void amx_load(amx_state *t, int tile, const void *p, int64_t stride) {
    memset(t->tile[tile], 0, sizeof t->tile[tile]);
    for (int r = 0; r < t->shapes.rows[tile]; r++)
        memcpy(t->tile[tile][r], (const char *)p + r * stride, t->shapes.bytes[tile]);
}
static void amx_dot_unsigned(amx_state *t, int sums, int rows, int panel) {
    if (!t->configured || t->shapes.rows[panel] * 4 != t->shapes.bytes[rows]) return;
    for (int m = 0; m < t->shapes.rows[sums]; m++)
        for (int n = 0; n < t->shapes.bytes[sums] / 4; n++) {
            int32_t sum;
            memcpy(&sum, &t->tile[sums][m][4 * n], 4);
            for (int k = 0; k < t->shapes.bytes[rows]; k++) {
                const uint8_t weight = t->tile[panel][k / 4][4 * n + k % 4];
                sum += (int8_t)t->tile[rows][m][k] * (int32_t)weight;
            }
            memcpy(&t->tile[sums][m][4 * n], &sum, 4);
        }
}
static float amx_bf16(const uint8_t *p) {
    uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static void amx_dot_bf16(amx_state *t, int sums, int rows, int panel) {
    if (!t->configured || t->shapes.rows[panel] * 4 != t->shapes.bytes[rows]) return;
    for (int m = 0; m < t->shapes.rows[sums]; m++)
        for (int n = 0; n < t->shapes.bytes[sums] / 4; n++) {
            float sum;
            memcpy(&sum, &t->tile[sums][m][4 * n], 4);
            for (int k = 0; k < t->shapes.bytes[rows]; k += 2)
                sum += amx_bf16(&t->tile[rows][m][k]) * amx_bf16(&t->tile[panel][k / 4][4 * n + k % 4]);
            memcpy(&t->tile[sums][m][4 * n], &sum, 4);
        }
}
static void amx_store(amx_state *t, int tile, void *p, int64_t stride) {
    for (int r = 0; r < t->shapes.rows[tile]; r++) memcpy((char *)p + stride * r, t->tile[tile][r], t->shapes.bytes[tile]);
}
