/* 16 lanes as one AVX-512 register; `vpdpbusd` is the dot product. */
#include <immintrin.h>
#define MCV_UNROLL MCV_PRAGMA(GCC unroll 16)
#define MCV_STEPS MCV_PRAGMA(GCC unroll 4)
typedef __m512 vf;
typedef __m512i vi;
typedef __m512i vb;

/* First n of 16 lanes, 0 <= n <= 16. */
MCV_INLINE __mmask16 mcv_mask(int n) { return (__mmask16)((1u << n) - 1); }

MCV_INLINE vf vf_set(float x) { return _mm512_set1_ps(x); }
MCV_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
MCV_INLINE vf vf_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(mcv_mask(n), p); }
MCV_INLINE void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
MCV_INLINE void vf_store_n(float *p, vf x, int n) { _mm512_mask_storeu_ps(p, mcv_mask(n), x); }
MCV_INLINE __m512 mcv_from_bf16(__m256i x) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
MCV_INLINE vf vf_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
MCV_INLINE vf vf_load_f16_n(const uint16_t *p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mcv_mask(n), p)); }
MCV_INLINE vf vf_load_bf16(const uint16_t *p) { return mcv_from_bf16(_mm256_loadu_si256((const __m256i *)p)); }
MCV_INLINE vf vf_load_bf16_n(const uint16_t *p, int n) { return mcv_from_bf16(_mm256_maskz_loadu_epi16(mcv_mask(n), p)); }
MCV_INLINE void vf_store_f16_n(uint16_t *p, vf x, int n) {
    _mm256_mask_storeu_epi16(p, mcv_mask(n), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
/* Halves are rounded up. */
MCV_INLINE void vf_store_bf16_n(uint16_t *p, vf x, int n) {
    const __m512i rounded = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    _mm512_mask_cvtepi32_storeu_epi16(p, mcv_mask(n), _mm512_srli_epi32(rounded, 16));
}
MCV_INLINE vf mcv_from_u8(__m128i x) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x)); }
MCV_INLINE vf vf_load_i8(const int8_t *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p))); }
MCV_INLINE vf vf_load_low4(const uint8_t *p) {
    return mcv_from_u8(_mm_and_si128(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(15)));
}
MCV_INLINE vf vf_load_high4(const uint8_t *p) {
    return mcv_from_u8(_mm_and_si128(_mm_srli_epi16(_mm_loadu_si128((const __m128i *)p), 4), _mm_set1_epi8(15)));
}
MCV_INLINE void vf_store_i8(int8_t *p, vf x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)));
}

MCV_INLINE vf vf_add(vf x, vf y) { return _mm512_add_ps(x, y); }
MCV_INLINE vf vf_sub(vf x, vf y) { return _mm512_sub_ps(x, y); }
MCV_INLINE vf vf_mul(vf x, vf y) { return _mm512_mul_ps(x, y); }
MCV_INLINE vf vf_div(vf x, vf y) { return _mm512_div_ps(x, y); }
/* vf_ratio and vf_raised are spelled here. */
#define MCV_RATIO
/* x / y for 1 <= y <= 2^126 within 2 units of the last place: one step of Newton from 14 bits. */
MCV_INLINE vf vf_ratio(vf x, vf y) {
    const vf r = _mm512_rcp14_ps(y);
    return _mm512_mul_ps(x, _mm512_fmadd_ps(_mm512_fnmadd_ps(y, r, _mm512_set1_ps(1.0f)), r, r));
}
MCV_INLINE vf vf_raised(vf x, vf least, vf p, vf n) {
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, least, _CMP_NLT_UQ), p, n);
}
MCV_INLINE vf vf_max(vf x, vf y) { return _mm512_max_ps(x, y); }
MCV_INLINE vf vf_min(vf x, vf y) { return _mm512_min_ps(x, y); }
MCV_INLINE vf vf_fma(vf x, vf y, vf z) { return _mm512_fmadd_ps(x, y, z); }
MCV_INLINE vf vf_abs(vf x) { return _mm512_abs_ps(x); }
MCV_INLINE vf vf_round(vf x) { return _mm512_roundscale_ps(x, 8); }
/* a where x < limit, else b. */
MCV_INLINE vf vf_less(vf x, vf limit, vf a, vf b) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, limit, _CMP_LT_OQ), b, a);
}
/* a in the first n lanes, else b. */
MCV_INLINE vf vf_first(int n, vf a, vf b) { return _mm512_mask_blend_ps(mcv_mask(n), b, a); }
MCV_INLINE float vf_sum(vf x) { return _mm512_reduce_add_ps(x); }
MCV_INLINE float vf_top(vf x) { return _mm512_reduce_max_ps(x); }
MCV_INLINE __m512 mcv_fold2(__m512 x, __m512 y) { return _mm512_add_ps(_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y)); }
MCV_INLINE __m512 mcv_fold4(__m512 x, __m512 y) {
    return _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xee));
}
/* Of each 128-bit part, lane i: its share of the sum of r[i]. */
MCV_INLINE __m512 mcv_sums4(const vf *r) { return mcv_fold4(mcv_fold2(r[0], r[1]), mcv_fold2(r[2], r[3])); }
/* Lane i: the sum of r[i]'s lanes. */
MCV_INLINE vf vf_sums(const vf *r) {
    const __m512 a = mcv_sums4(r), b = mcv_sums4(r + 4), x = mcv_sums4(r + 8), y = mcv_sums4(r + 12);
    const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 xy = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(ab, xy, 0x88), _mm512_shuffle_f32x4(ab, xy, 0xdd));
}

/* Lane i of r[j] becomes lane j of r[i]. */
MCV_INLINE void vf_turn(vf *r) {
    vf t[16];
    MCV_UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    MCV_UNROLL for (int i = 0; i < 16; i += 4) {
        MCV_UNROLL for (int h = 0; h < 2; h++) {
            const __m512d x = _mm512_castps_pd(t[i + h]), y = _mm512_castps_pd(t[i + h + 2]);
            r[i + 2 * h] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            r[i + 2 * h + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    }
    MCV_UNROLL for (int i = 0; i < 4; i++) {
        const __m512 a = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), b = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        const __m512 x = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88), y = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
        t[i] = _mm512_shuffle_f32x4(a, x, 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(b, y, 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(a, x, 0xdd);
        t[i + 12] = _mm512_shuffle_f32x4(b, y, 0xdd);
    }
    MCV_UNROLL for (int i = 0; i < 16; i++) r[i] = t[i];
}

MCV_INLINE vi vi_zero(void) { return _mm512_setzero_si512(); }
MCV_INLINE vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
MCV_INLINE vf vf_from(vi x) { return _mm512_cvtepi32_ps(x); }
MCV_INLINE vb vb_load(const void *p) { return _mm512_loadu_si512(p); }
MCV_INLINE vb vb_low4(vb x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
MCV_INLINE vb vb_high4(vb x) { return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15)); }
/* Lane i: a + sum of w[4i..4i+4] * x[0..4]. */
MCV_INLINE vi dot4(vi a, vb w, const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_dpbusd_epi32(a, w, _mm512_set1_epi32(four));
}
/* The same where w <= 15. */
MCV_INLINE vi dot4_small(vi a, vb w, const int8_t *x) { return dot4(a, w, x); }
