/* OpenCL C 1.2. Build macros choose the form; the text, its indices and its layouts are the same for all of them:
 *   MCV_WAVE       work items that run in step, 64 or 128
 *   MCV_SUBGROUPS  1: subgroups of MCV_WAVE items (cl_khr_subgroups); 0: local memory in their place
 *   MCV_DOT        products of weights and activations as 0 float, 1 half (cl_khr_fp16) with float sums of four,
 *                  2 integers by cl_khr_integer_dot_product, 3 integers by plain C
 *   MCV_IMAGES     1: weights through image1d_buffer_t, texels of CL_RG and CL_UNSIGNED_INT32; 0: through buffers */
#ifndef MCV_WAVE
#define MCV_WAVE 64
#endif
#ifndef MCV_SUBGROUPS
#define MCV_SUBGROUPS 0
#endif
#ifndef MCV_DOT
#define MCV_DOT 0
#endif
#ifndef MCV_IMAGES
#define MCV_IMAGES 0
#endif
#pragma OPENCL FP_CONTRACT ON
#if MCV_SUBGROUPS
#pragma OPENCL EXTENSION cl_khr_subgroups : enable
#endif
#if defined(cl_qcom_reqd_sub_group_size) && MCV_SUBGROUPS
#pragma OPENCL EXTENSION cl_qcom_reqd_sub_group_size : enable
#if MCV_WAVE == 64
#define MCV_WAVES __attribute__((qcom_reqd_sub_group_size("half")))
#else
#define MCV_WAVES __attribute__((qcom_reqd_sub_group_size("full")))
#endif
#else
#define MCV_WAVES
#endif
#define MCV_KERNEL(items) __kernel __attribute__((reqd_work_group_size(items, 1, 1))) MCV_WAVES
#define MCV_UNROLL _Pragma("unroll")
#define MCV_INLINE static inline __attribute__((always_inline))
#define MCV_ROW(i, r) (a##i + (long)(r) * s##i)
#define MCV_BARRIER barrier(CLK_LOCAL_MEM_FENCE)

/* Four activations, four weights around zero, and what their products are summed in. Integers keep weights above zero:
 * the activations' scaled sums carry the zero point. */
#if MCV_DOT == 1
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
typedef half4 mcv_x4;
typedef half4 mcv_w4;
typedef float mcv_sum;
MCV_INLINE mcv_x4 mcv_activations(uint x) { return convert_half4(as_char4(x)); }
MCV_INLINE mcv_w4 mcv_weights(uint w, float zero) { return convert_half4(as_uchar4(w)) - (half)zero; }
MCV_INLINE mcv_sum mcv_dot(mcv_sum sum, mcv_w4 w, mcv_x4 x) {
    const half4 p = w * x;
    return sum + (float)((p.x + p.y) + (p.z + p.w));
}
MCV_INLINE float mcv_fold(float y, float scale, mcv_sum sum, float x_scale, float shift) { return fma(scale, x_scale * sum, y); }
#elif MCV_DOT >= 2
typedef uint mcv_x4;
typedef uint mcv_w4;
typedef int mcv_sum;
MCV_INLINE mcv_x4 mcv_activations(uint x) { return x; }
MCV_INLINE mcv_w4 mcv_weights(uint w, float zero) { return w; }
MCV_INLINE mcv_sum mcv_dot(mcv_sum sum, mcv_w4 w, mcv_x4 x) {
#if MCV_DOT == 2
    return sum + dot_4x8packed_us_int(w, x);
#else
    const int4 p = convert_int4(as_uchar4(w)) * convert_int4(as_char4(x));
    return sum + p.x + p.y + p.z + p.w;
#endif
}
MCV_INLINE float mcv_fold(float y, float scale, mcv_sum sum, float x_scale, float shift) {
    return fma(scale, fma((float)sum, x_scale, shift), y);
}
#else
typedef float4 mcv_x4;
typedef float4 mcv_w4;
typedef float mcv_sum;
MCV_INLINE mcv_x4 mcv_activations(uint x) { return convert_float4(as_char4(x)); }
MCV_INLINE mcv_w4 mcv_weights(uint w, float zero) { return convert_float4(as_uchar4(w)) - zero; }
MCV_INLINE mcv_sum mcv_dot(mcv_sum sum, mcv_w4 w, mcv_x4 x) {
    return fma(w.x, x.x, fma(w.y, x.y, fma(w.z, x.z, fma(w.w, x.w, sum))));
}
MCV_INLINE float mcv_fold(float y, float scale, mcv_sum sum, float x_scale, float shift) { return fma(scale, x_scale * sum, y); }
#endif

/* Eight bytes of channel n of a panel, from 8-byte unit `at` of its region on: step j of eight values. */
#if MCV_IMAGES
#define MCV_IMAGE(i) , __read_only image1d_buffer_t view##i
#define MCV_EIGHT_8(i, at, j, n) read_imageui(view##i, (int)((at) + (j) * 16 + (n))).xy
#else
#define MCV_IMAGE(i)
#define MCV_EIGHT_8(i, at, j, n) vload2((at) + (j) * 16 + (n), (__global const uint *)b##i)
#endif
#define MCV_EIGHT_4(i, at, j, n) \
    (uint2)(((__global const uint *)b##i)[((at) + (j) * 16) * 2 + (n)], ((__global const uint *)b##i)[((at) + (j) * 16) * 2 + 16 + (n)])

/* Lanes of a wave, waves of a group; word i of those whose word `lane` each lane holds. */
#if MCV_SUBGROUPS
#define MCV_LANE ((int)get_sub_group_local_id())
#define MCV_WAVE_AT ((int)get_sub_group_id())
#define MCV_WORD(from, mine, i) sub_group_broadcast(mine, i)
#else
#define MCV_LANE ((int)get_local_id(0) % MCV_WAVE)
#define MCV_WAVE_AT ((int)get_local_id(0) / MCV_WAVE)
#define MCV_WORD(from, mine, i) (from)[i]
#endif

/* Over a group of 64 items, which is one wave or a part of one. */
MCV_INLINE float mcv_group_sum(__local float *shared, int lane, float v) {
#if MCV_SUBGROUPS
    return sub_group_reduce_add(v);
#else
    MCV_BARRIER;
    shared[lane] = v;
    MCV_BARRIER;
    for (int s = 32; s > 0; s /= 2) {
        if (lane < s) shared[lane] += shared[lane + s];
        MCV_BARRIER;
    }
    return shared[0];
#endif
}
MCV_INLINE float mcv_group_max(__local float *shared, int lane, float v) {
#if MCV_SUBGROUPS
    return sub_group_reduce_max(v);
#else
    MCV_BARRIER;
    shared[lane] = v;
    MCV_BARRIER;
    for (int s = 32; s > 0; s /= 2) {
        if (lane < s) shared[lane] = fmax(shared[lane], shared[lane + s]);
        MCV_BARRIER;
    }
    return shared[0];
#endif
}

/* Element n of a row. */
MCV_INLINE float mcv_f32(__global const uchar *row, int n) { return ((__global const float *)row)[n]; }
MCV_INLINE float mcv_f16(__global const uchar *row, int n) { return vload_half(n, (__global const half *)row); }
MCV_INLINE float mcv_bf16(__global const uchar *row, int n) { return as_float((uint)((__global const ushort *)row)[n] << 16); }
MCV_INLINE float4 mcv_f32x4(__global const uchar *row, int n) { return vload4(0, (__global const float *)row + n); }
MCV_INLINE float4 mcv_f16x4(__global const uchar *row, int n) { return vload_half4(0, (__global const half *)row + n); }
MCV_INLINE void mcv_put_f32(__global uchar *row, int n, float v) { ((__global float *)row)[n] = v; }
MCV_INLINE void mcv_put_f16(__global uchar *row, int n, float v) { vstore_half_rte(v, n, (__global half *)row); }
/* The same of rows of `groups` groups that share an f16 scale; a 4-bit group keeps its first half in the low nibbles. */
MCV_INLINE float mcv_q8(__global const uchar *row, int groups, int group, int n) {
    return (float)((__global const char *)row)[n] * mcv_f16(row + (long)groups * group, n / group);
}
MCV_INLINE float mcv_q4(__global const uchar *row, int groups, int group, int n) {
    const int half_group = group / 2, at = n % group;
    const uchar byte = row[n / group * half_group + at % half_group];
    const int q = at < half_group ? byte & 15 : byte >> 4;
    return (float)(q - 8) * mcv_f16(row + (long)groups * half_group, n / group);
}
/* The same of row `id` of a table in panels of 16 rows, `depth` values of each row at a time. */
MCV_INLINE float mcv_panel_q8(__global const uchar *table, int groups, int group, int id, int n, int depth) {
    __global const uchar *panel = table + ((long)(id / 16) * groups + n / group) * (32 + 16 * group);
    const int at = n % group;
    return ((float)panel[32 + (at / depth * 16 + id % 16) * depth + at % depth] - 128.0f) * mcv_f16(panel, id % 16);
}
MCV_INLINE float mcv_panel_q4(__global const uchar *table, int groups, int group, int id, int n, int depth) {
    __global const uchar *panel = table + ((long)(id / 16) * groups + n / group) * (32 + 8 * group);
    const int half_group = group / 2, at = n % half_group;
    const uchar byte = panel[32 + (at / depth * 16 + id % 16) * depth + at % depth];
    return (float)((n % group < half_group ? byte & 15 : byte >> 4) - 8) * mcv_f16(panel, id % 16);
}

MCV_INLINE float mcv_silu(float x) { return x / (1.0f + exp(-x)); }
MCV_INLINE float mcv_sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }
/* x/2 (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3) */
MCV_INLINE float mcv_gelu_tanh(float x) {
    return x / (1.0f + exp(-1.5957691216057308f * x * fma(x * x, 0.044715f, 1.0f)));
}
/* x/2 (1 + erf(x / sqrt 2)); erfc by Abramowitz and Stegun 7.1.26, error below 1.5e-7. */
MCV_INLINE float mcv_gelu(float x) {
    const float z = fabs(x) * 0.70710678118654752f, t = 1.0f / fma(z, 0.3275911f, 1.0f);
    float p = fma(1.061405429f, t, -1.453152027f);
    p = fma(fma(fma(p, t, 1.421413741f), t, -0.284496736f), t, 0.254829592f) * t;
    const float tail = 0.5f * x * p * exp(-z * z);
    return x < 0.0f ? tail : x - tail;
}
