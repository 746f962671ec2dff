#include <stdint.h>

typedef struct { char *data; int64_t stride; } mcv_arg;
typedef struct { const mcv_arg *arg; const int64_t *dim; const float *scalar; } mcv_call;

#if defined(__GNUC__)
#define MCV_API __attribute__((visibility("default")))
#define MCV_INLINE static inline __attribute__((always_inline))
#define MCV_OUTLINE static __attribute__((noinline))
#define MCV_ALIGNED __attribute__((aligned(64)))
#define MCV_PREFETCH(p) __builtin_prefetch((p), 0, 3)
#define MCV_PRAGMA(text) _Pragma(#text)
#else
#define MCV_API
#define MCV_INLINE static inline
#define MCV_OUTLINE static
#define MCV_ALIGNED
#define MCV_PREFETCH(p) ((void)(p))
#define MCV_PRAGMA(text)
#endif
#define MCV_ROW(i, r) (c->arg[i].data + (r) * c->arg[i].stride)

#if !defined(INFINITY) && defined(__GNUC__)
/* No C library: one shared object serves every system of a processor. Compilers call these two by name; the empty
   statements keep them from calling themselves. */
__attribute__((visibility("hidden"), used)) void *memcpy(void *to, const void *from, __SIZE_TYPE__ count) {
    for (char *t = to; count; count--, t++) {
        __asm__ volatile("");
        *t = *(const char *)from;
        from = (const char *)from + 1;
    }
    return to;
}
__attribute__((visibility("hidden"), used)) void *memset(void *to, int value, __SIZE_TYPE__ count) {
    for (char *t = to; count; count--, t++) {
        __asm__ volatile("");
        *t = (char)value;
    }
    return to;
}
#define INFINITY __builtin_inff()
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#define fabsf __builtin_fabsf
#define sqrtf __builtin_sqrtf
#elif !defined(INFINITY)
#include <math.h>
#include <string.h>
#endif

MCV_INLINE int64_t mcv_min(int64_t a, int64_t b) { return a < b ? a : b; }
MCV_INLINE int64_t mcv_div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
/* Columns of a block of 16 at column n of a row of `width`. */
MCV_INLINE int mcv_count(int64_t width, int64_t n) { return width - n < 16 ? (int)(width - n) : 16; }
MCV_INLINE float mcv_load_f32(const void *p) { float x; memcpy(&x, p, 4); return x; }
/* The sum of a group's values, of the group's scale and of their product. */
MCV_INLINE int32_t mcv_whole(float scaled, float scale) {
    return scale > 0.0f ? (int32_t)(scaled / scale + (scaled < 0.0f ? -0.5f : 0.5f)) : 0;
}
