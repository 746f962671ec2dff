/* What the tile instructions mean, as C; see "TDPBSUD", "TILELOADD", "LDTILECFG" in the vendor's manual. */
typedef struct { amx_shapes shapes; int configured; uint8_t tile[3][16][64]; } amx_state;

static void amx_configure(amx_state *t, const amx_shapes *s) {
    memset(t, 0, sizeof *t);
    t->shapes = *s;
    t->configured = s->palette == 1 && sizeof *s == 64;
}
static void amx_release(amx_state *t) { memset(t, 0, sizeof *t); }
static void amx_zero(amx_state *t) { memset(t->tile[0], 0, sizeof t->tile[0]); }
static void amx_load(amx_state *t, int tile, const void *p, int64_t stride) {
    memset(t->tile[tile], 0, sizeof t->tile[tile]);
    for (int r = 0; r < t->shapes.rows[tile]; r++)
        memcpy(t->tile[tile][r], (const char *)p + r * stride, t->shapes.bytes[tile]);
}
static void amx_load_rows(amx_state *t, const void *p, int64_t stride) { amx_load(t, 1, p, stride); }
static void amx_load_panel(amx_state *t, const void *p) { amx_load(t, 2, p, 64); }
static void amx_dot(amx_state *t) {
    if (!t->configured || t->shapes.rows[2] * 4 != t->shapes.bytes[1]) return;
    for (int m = 0; m < t->shapes.rows[0]; m++)
        for (int n = 0; n < t->shapes.bytes[0] / 4; n++) {
            int32_t sum;
            memcpy(&sum, &t->tile[0][m][4 * n], 4);
            for (int k = 0; k < t->shapes.bytes[1]; k++)
                sum += (int8_t)t->tile[1][m][k] * (int32_t)t->tile[2][k / 4][4 * n + k % 4];
            memcpy(&t->tile[0][m][4 * n], &sum, 4);
        }
}
static void amx_store(amx_state *t, int32_t *p) {
    for (int r = 0; r < t->shapes.rows[0]; r++) memcpy(p + 16 * r, t->tile[0][r], t->shapes.bytes[0]);
}
