#include <math.h>
#include <stdint.h>
#include <string.h>

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

MCV_INLINE int64_t mcv_min(int64_t a, int64_t b) { return a < b ? a : b; }
MCV_INLINE int64_t mcv_div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
/* Columns of a block of 16 at column n of a row of `width`. */
MCV_INLINE int mcv_count(int64_t width, int64_t n) { return width - n < 16 ? (int)(width - n) : 16; }
MCV_INLINE float mcv_load_f32(const void *p) { float x; memcpy(&x, p, 4); return x; }
