/* 16 lanes as two halves of AVX2. */
#include <immintrin.h>
#define MCV_UNROLL MCV_PRAGMA(GCC unroll 16)
#define MCV_STEPS MCV_PRAGMA(GCC unroll 4)
typedef struct { __m256 a, b; } vf;
typedef struct { __m256i a, b; } vi;
typedef struct { __m256i a, b; } vb;

#define MCV_BOTH(op) vf r = {op(x.a, y.a), op(x.b, y.b)}; return r

/* First n of 8 lanes, 0 <= n. */
MCV_INLINE __m256i mcv_mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
MCV_INLINE vf vf_set(float x) { vf r = {_mm256_set1_ps(x), _mm256_set1_ps(x)}; return r; }
MCV_INLINE vf vf_load(const float *p) { vf r = {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; return r; }
MCV_INLINE vf vf_load_n(const float *p, int n) {
    if (n >= 16) return vf_load(p);
    vf r = {_mm256_maskload_ps(p, mcv_mask(n)), _mm256_maskload_ps(p + 8, mcv_mask(n - 8))};
    return r;
}
MCV_INLINE void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x.a); _mm256_storeu_ps(p + 8, x.b); }
MCV_INLINE void vf_store_n(float *p, vf x, int n) {
    if (n >= 16) { vf_store(p, x); return; }
    _mm256_maskstore_ps(p, mcv_mask(n), x.a);
    _mm256_maskstore_ps(p + 8, mcv_mask(n - 8), x.b);
}
MCV_INLINE vf vf_load_f16(const uint16_t *p) {
    vf r = {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
    return r;
}
MCV_INLINE vf vf_load_bf16(const uint16_t *p) {
    const __m256i lo = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    const __m256i hi = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)));
    vf r = {_mm256_castsi256_ps(_mm256_slli_epi32(lo, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(hi, 16))};
    return r;
}
MCV_INLINE vf vf_load_f16_n(const uint16_t *p, int n) {
    if (n >= 16) return vf_load_f16(p);
    uint16_t t[16] = {0};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return vf_load_f16(t);
}
MCV_INLINE vf vf_load_bf16_n(const uint16_t *p, int n) {
    if (n >= 16) return vf_load_bf16(p);
    uint16_t t[16] = {0};
    for (int i = 0; i < n; i++) t[i] = p[i];
    return vf_load_bf16(t);
}
MCV_INLINE void vf_store_f16_n(uint16_t *p, vf x, int n) {
    uint16_t t[16];
    uint16_t *to = n >= 16 ? p : t;
    _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(to + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
    if (n < 16) for (int i = 0; i < n; i++) p[i] = t[i];
}
MCV_INLINE __m256i mcv_round_bf16(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
}
MCV_INLINE void vf_store_bf16_n(uint16_t *p, vf x, int n) {
    uint16_t t[16];
    const __m256i turned = _mm256_packus_epi32(mcv_round_bf16(x.a), mcv_round_bf16(x.b));
    _mm256_storeu_si256((__m256i *)(n >= 16 ? p : t), _mm256_permute4x64_epi64(turned, 0xd8));
    if (n < 16) for (int i = 0; i < n; i++) p[i] = t[i];
}
MCV_INLINE vf mcv_from_bytes(__m128i x, int is_signed) {
    const __m128i high = _mm_srli_si128(x, 8);
    vf r = {_mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x)),
            _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(high) : _mm256_cvtepu8_epi32(high))};
    return r;
}
MCV_INLINE vf vf_load_i8(const int8_t *p) { return mcv_from_bytes(_mm_loadu_si128((const __m128i *)p), 1); }
MCV_INLINE vf vf_load_low4(const uint8_t *p) {
    return mcv_from_bytes(_mm_and_si128(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(15)), 0);
}
MCV_INLINE vf vf_load_high4(const uint8_t *p) {
    return mcv_from_bytes(_mm_and_si128(_mm_srli_epi16(_mm_loadu_si128((const __m128i *)p), 4), _mm_set1_epi8(15)), 0);
}
MCV_INLINE void vf_store_i8(int8_t *p, vf x) {
    const __m256i w = _mm256_packs_epi32(_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b));
    const __m256i o = _mm256_permute4x64_epi64(w, 0xd8);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi16(_mm256_castsi256_si128(o), _mm256_extracti128_si256(o, 1)));
}

MCV_INLINE vf vf_add(vf x, vf y) { MCV_BOTH(_mm256_add_ps); }
MCV_INLINE vf vf_sub(vf x, vf y) { MCV_BOTH(_mm256_sub_ps); }
MCV_INLINE vf vf_mul(vf x, vf y) { MCV_BOTH(_mm256_mul_ps); }
MCV_INLINE vf vf_div(vf x, vf y) { MCV_BOTH(_mm256_div_ps); }
MCV_INLINE vf vf_max(vf x, vf y) { MCV_BOTH(_mm256_max_ps); }
MCV_INLINE vf vf_min(vf x, vf y) { MCV_BOTH(_mm256_min_ps); }
MCV_INLINE vf vf_fma(vf x, vf y, vf z) { vf r = {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; return r; }
MCV_INLINE vf vf_abs(vf y) { const vf x = vf_set(-0.0f); MCV_BOTH(_mm256_andnot_ps); }
MCV_INLINE vf vf_round(vf x) { vf r = {_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)}; return r; }
/* a where x < limit, else b. */
MCV_INLINE vf vf_less(vf x, vf limit, vf a, vf b) {
    vf r = {_mm256_blendv_ps(b.a, a.a, _mm256_cmp_ps(x.a, limit.a, _CMP_LT_OQ)),
            _mm256_blendv_ps(b.b, a.b, _mm256_cmp_ps(x.b, limit.b, _CMP_LT_OQ))};
    return r;
}
/* a in the first n lanes, else b. */
MCV_INLINE vf vf_first(int n, vf a, vf b) {
    vf r = {_mm256_blendv_ps(b.a, a.a, _mm256_castsi256_ps(mcv_mask(n))),
            _mm256_blendv_ps(b.b, a.b, _mm256_castsi256_ps(mcv_mask(n - 8)))};
    return r;
}
MCV_INLINE __m256 mcv_pow2(__m256 n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}
/* 2^n for whole -126 <= n <= 127. */
MCV_INLINE vf vf_pow2(vf n) { vf r = {mcv_pow2(n.a), mcv_pow2(n.b)}; return r; }
MCV_INLINE float vf_sum(vf x) {
    const __m256 s = _mm256_add_ps(x.a, x.b);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_add_ss(q, _mm_movehdup_ps(q)));
}
MCV_INLINE float vf_top(vf x) {
    const __m256 s = _mm256_max_ps(x.a, x.b);
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(q, _mm_movehdup_ps(q)));
}
MCV_INLINE __m256 mcv_sums8(const vf *r) {
    __m256 t[8];
    MCV_UNROLL for (int i = 0; i < 8; i++) t[i] = _mm256_add_ps(r[i].a, r[i].b);
    const __m256 lo = _mm256_hadd_ps(_mm256_hadd_ps(t[0], t[1]), _mm256_hadd_ps(t[2], t[3]));
    const __m256 hi = _mm256_hadd_ps(_mm256_hadd_ps(t[4], t[5]), _mm256_hadd_ps(t[6], t[7]));
    return _mm256_add_ps(_mm256_permute2f128_ps(lo, hi, 0x20), _mm256_permute2f128_ps(lo, hi, 0x31));
}
/* Lane i: the sum of r[i]'s lanes. */
MCV_INLINE vf vf_sums(const vf *r) { vf s = {mcv_sums8(r), mcv_sums8(r + 8)}; return s; }

/* Of an 8 x 8 square in every second register from r on: lane i of row j becomes lane j of row i. */
MCV_INLINE void mcv_turn8(__m256 *r) {
    __m256 t[8];
    MCV_UNROLL for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 2]);
        t[i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 2]);
    }
    MCV_UNROLL for (int i = 0; i < 4; i++) {
        const int from = i / 2, mask = i % 2;
        const __m256 low = mask ? _mm256_shuffle_ps(t[from], t[from + 2], 0xee) : _mm256_shuffle_ps(t[from], t[from + 2], 0x44);
        const __m256 high = mask ? _mm256_shuffle_ps(t[from + 4], t[from + 6], 0xee) : _mm256_shuffle_ps(t[from + 4], t[from + 6], 0x44);
        r[2 * i] = _mm256_permute2f128_ps(low, high, 0x20);
        r[2 * i + 8] = _mm256_permute2f128_ps(low, high, 0x31);
    }
}
/* Lane i of r[j] becomes lane j of r[i]. */
MCV_INLINE void vf_turn(vf *r) {
    __m256 *half = &r[0].a;
    MCV_UNROLL for (int i = 0; i < 4; i++) mcv_turn8(half + i / 2 * 16 + i % 2);
    MCV_UNROLL for (int i = 0; i < 8; i++) {
        const __m256 t = r[i].b;
        r[i].b = r[i + 8].a;
        r[i + 8].a = t;
    }
}

MCV_INLINE vi vi_zero(void) { vi r = {_mm256_setzero_si256(), _mm256_setzero_si256()}; return r; }
MCV_INLINE vi vi_set(int32_t x) { vi r = {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; return r; }
MCV_INLINE vf vf_from(vi x) { vf r = {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; return r; }
MCV_INLINE vb vb_load(const void *p) {
    vb r = {_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)p + 1)};
    return r;
}
MCV_INLINE vb vb_low4(vb x) {
    const __m256i m = _mm256_set1_epi8(15);
    vb r = {_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
    return r;
}
MCV_INLINE vb vb_high4(vb x) {
    vb s = {_mm256_srli_epi16(x.a, 4), _mm256_srli_epi16(x.b, 4)};
    return vb_low4(s);
}
MCV_INLINE __m256i mcv_four(const int8_t *x) { int32_t t; memcpy(&t, x, 4); return _mm256_set1_epi32(t); }
/* Even and odd bytes are multiplied apart: `maddubs` would saturate at weights above 127. */
MCV_INLINE __m256i mcv_dot4(__m256i a, __m256i w, __m256i even, __m256i odd) {
    const __m256i e = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)), even);
    return _mm256_add_epi32(a, _mm256_add_epi32(e, _mm256_madd_epi16(_mm256_srli_epi16(w, 8), odd)));
}
/* Lane i: a + sum of w[4i..4i+4] * x[0..4]. */
MCV_INLINE vi dot4(vi a, vb w, const int8_t *x) {
    const __m256i four = mcv_four(x), odd = _mm256_srai_epi16(four, 8);
    const __m256i even = _mm256_srai_epi16(_mm256_slli_epi16(four, 8), 8);
    vi r = {mcv_dot4(a.a, w.a, even, odd), mcv_dot4(a.b, w.b, even, odd)};
    return r;
}
/* The same where w <= 15: 2 * 15 * 127 fits the 16-bit sums of `maddubs`. */
MCV_INLINE vi dot4_small(vi a, vb w, const int8_t *x) {
    const __m256i four = mcv_four(x), one = _mm256_set1_epi16(1);
    vi r = {_mm256_add_epi32(a.a, _mm256_madd_epi16(_mm256_maddubs_epi16(w.a, four), one)),
            _mm256_add_epi32(a.b, _mm256_madd_epi16(_mm256_maddubs_epi16(w.b, four), one))};
    return r;
}
