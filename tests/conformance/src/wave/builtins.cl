/* OpenCL's built-in functions for kernels that are compiled for this machine: those that work items meet in are the
 * scheduler's (wave.c); the others are written here, so that the compiler gives them the names it looks for. */
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#define OVERLOAD __attribute__((overloadable, always_inline))
#define MEETING __attribute__((convergent))
ulong wave_local(void);
ulong wave_group(uint axis);
uint wave_lane(void);
uint wave_number(void);
MEETING void wave_barrier(void);
MEETING uint wave_broadcast(uint v, uint lane);
MEETING float wave_sum(float v);
MEETING float wave_max(float v);
uint4 wave_texel(__read_only image1d_buffer_t image, int at);

size_t OVERLOAD get_local_id(uint axis) { return axis == 0 ? wave_local() : 0; }
size_t OVERLOAD get_group_id(uint axis) { return wave_group(axis); }
uint OVERLOAD get_sub_group_local_id(void) { return wave_lane(); }
uint OVERLOAD get_sub_group_id(void) { return wave_number(); }
void OVERLOAD barrier(cl_mem_fence_flags flags) { wave_barrier(); }
uint OVERLOAD sub_group_broadcast(uint v, uint lane) { return wave_broadcast(v, lane); }
float OVERLOAD sub_group_reduce_add(float v) { return wave_sum(v); }
float OVERLOAD sub_group_reduce_max(float v) { return wave_max(v); }
uint4 OVERLOAD read_imageui(__read_only image1d_buffer_t image, int at) { return wave_texel(image, at); }

int OVERLOAD dot_4x8packed_us_int(uint a, uint b) {
    const uchar4 x = as_uchar4(a);
    const char4 y = as_char4(b);
    return x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
half4 OVERLOAD convert_half4(char4 x) { return __builtin_convertvector(x, half4); }
half4 OVERLOAD convert_half4(uchar4 x) { return __builtin_convertvector(x, half4); }
float4 OVERLOAD convert_float4(char4 x) { return __builtin_convertvector(x, float4); }
float4 OVERLOAD convert_float4(uchar4 x) { return __builtin_convertvector(x, float4); }
int4 OVERLOAD convert_int4(char4 x) { return __builtin_convertvector(x, int4); }
int4 OVERLOAD convert_int4(uchar4 x) { return __builtin_convertvector(x, int4); }

float4 OVERLOAD vload4(size_t i, const __global float *p) { p += 4 * i; return (float4)(p[0], p[1], p[2], p[3]); }
float4 OVERLOAD vload4(size_t i, const __local float *p) { p += 4 * i; return (float4)(p[0], p[1], p[2], p[3]); }
uint2 OVERLOAD vload2(size_t i, const __global uint *p) { return (uint2)(p[2 * i], p[2 * i + 1]); }
float OVERLOAD vload_half(size_t i, const __global half *p) { return (float)p[i]; }
float4 OVERLOAD vload_half4(size_t i, const __global half *p) {
    p += 4 * i;
    return (float4)((float)p[0], (float)p[1], (float)p[2], (float)p[3]);
}
void OVERLOAD vstore_half_rte(float v, size_t i, __global half *p) { p[i] = (half)v; }
void OVERLOAD vstore4(char4 v, size_t i, __global char *p) {
    p += 4 * i;
    p[0] = v.x, p[1] = v.y, p[2] = v.z, p[3] = v.w;
}

int OVERLOAD min(int a, int b) { return a < b ? a : b; }
int OVERLOAD clamp(int v, int low, int high) { return min(v < low ? low : v, high); }
float OVERLOAD fmax(float a, float b) { return __builtin_fmaxf(a, b); }
float OVERLOAD fmin(float a, float b) { return __builtin_fminf(a, b); }
float OVERLOAD clamp(float v, float low, float high) { return fmin(fmax(v, low), high); }
float OVERLOAD fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
float OVERLOAD dot(float4 a, float4 b) { return fma(a.x, b.x, fma(a.y, b.y, fma(a.z, b.z, a.w * b.w))); }
float OVERLOAD fabs(float x) { return __builtin_fabsf(x); }
float OVERLOAD rint(float x) { return __builtin_rintf(x); }
float OVERLOAD sqrt(float x) { return __builtin_sqrtf(x); }
float OVERLOAD exp(float x) { return __builtin_expf(x); }
float OVERLOAD cos(float x) { return __builtin_cosf(x); }
float OVERLOAD sin(float x) { return __builtin_sinf(x); }
