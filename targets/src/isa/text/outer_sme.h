/* Outer products of SME: tiles of 16 rows by 16 channels of 32-bit sums. Streaming mode is entered and left within each
   statement, the tiles live from outer_begin to outer_end. */
#define MCV_ALL_VECTORS \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", \
    "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31"

MCV_INLINE void outer_begin(void) { __asm__ volatile(".arch_extension sme\n smstart za\n zero {za}" ::: "memory"); }
MCV_INLINE void outer_end(void) { __asm__ volatile(".arch_extension sme\n smstop za" ::: "memory"); }

/* Tile T: adds `octets` times 8 k. x: words of 4 k of 16 rows; w: 8 k of each of 16 channels, unsigned. */
#define MCV_OUTER_ADD(T) \
    MCV_INLINE void outer_add##T(const int32_t *x, const uint8_t *w, int64_t octets) { \
        __asm__ volatile( \
            ".arch_extension sme\n smstart sm\n ptrue p0.b\n" \
            "1: ld1b {z0.b}, p0/z, [%1]\n ld1b {z1.b}, p0/z, [%1, #1, mul vl]\n" \
            "ld1b {z4.b}, p0/z, [%0]\n ld1b {z5.b}, p0/z, [%0, #1, mul vl]\n" \
            "uzp1 z2.s, z0.s, z1.s\n uzp2 z3.s, z0.s, z1.s\n" \
            "sumopa za" #T ".s, p0/m, p0/m, z4.b, z2.b\n sumopa za" #T ".s, p0/m, p0/m, z5.b, z3.b\n" \
            "add %0, %0, #128\n add %1, %1, #128\n subs %2, %2, #1\n b.ne 1b\n smstop sm" \
            : "+r"(x), "+r"(w), "+r"(octets)::"memory", "cc", "p0", MCV_ALL_VECTORS); \
    }
MCV_OUTER_ADD(0)
MCV_OUTER_ADD(1)
MCV_OUTER_ADD(2)
MCV_OUTER_ADD(3)
MCV_INLINE void outer_add(int tile, const int32_t *x, const uint8_t *w, int64_t octets) {
    switch (tile) {
    case 0: outer_add0(x, w, octets); break;
    case 1: outer_add1(x, w, octets); break;
    case 2: outer_add2(x, w, octets); break;
    default: outer_add3(x, w, octets);
    }
}
/* Row r of tile t is row 4 r + t of the array. */
MCV_INLINE void outer_take(int tile, int32_t *to) {
    int64_t left = 16;
    __asm__ volatile(
        ".arch_extension sme\n mov w12, %w2\n"
        "1: str za[w12, #0], [%0]\n add %0, %0, #64\n add w12, w12, #4\n subs %1, %1, #1\n b.ne 1b"
        : "+r"(to), "+r"(left) : "r"(tile) : "memory", "cc", "x12");
}
MCV_INLINE float32x4_t outer_shift4(const int32_t *p, int32_t shift) { return vcvtq_f32_s32(vaddq_s32(vld1q_s32(p), vdupq_n_s32(shift))); }
/* 16 sums and `shift`. */
MCV_INLINE vf outer_shift(const int32_t *p, int32_t shift) {
    vf r = {outer_shift4(p, shift), outer_shift4(p + 4, shift), outer_shift4(p + 8, shift), outer_shift4(p + 12, shift)};
    return r;
}

/* Whether this processor multiplies rightly: emulators have been seen that mix up the rows. */
static int outer_right(void) {
    MCV_ALIGNED int32_t x[2][16], dot[16][16];
    MCV_ALIGNED uint8_t w[16][8];
    for (int i = 0; i < 16; i++) {
        x[0][i] = i;
        x[1][i] = -1 - i << 8;
        for (int k = 0; k < 8; k++) w[i][k] = (uint8_t)(17 * i - k);
    }
    outer_begin();
    outer_add(0, x[0], w[0], 1);
    outer_take(0, dot[0]);
    outer_end();
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) {
            int32_t sum = 0;
            for (int k = 0; k < 8; k++) sum += (int8_t)(x[k / 4][i] >> 8 * (k % 4)) * w[j][k];
            if (dot[i][j] != sum) return 0;
        }
    return 1;
}
/* Whether this thread's streaming vectors are the 64 bytes that the tiles are made for, and products come out right. */
static int outer_fits(void) {
    static int known;
    int64_t bytes;
    __asm__(".arch_extension sme\n rdsvl %0, #1" : "=r"(bytes));
    if (bytes != 64) return 0;
    if (!known) known = 1 + outer_right();
    return known == 2;
}
