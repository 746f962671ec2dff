/* mcv launch k0 local 64 1 1 groups 1 d0 1 waves */
/* layer_norm f32 f32 f32 {quantize/row} -> q8/row@summed */
/* A group of 64 items: a row. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1,
    __global const uchar *b2, const ulong o2, const long s2,
    __global uchar *b3, const ulong o3, const long s3,
    const int d0,
    const int d1,
    const float f0) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global const uchar *a2 = b2 + o2;
    __global uchar *a3 = b3 + o3;
    const int D = 588;
    const float EPS = 1e-6f;
    const int lane = get_local_id(0), m = get_group_id(1);
    const int begin = 0, end = D;
    __local float shared[64];
    __local float tops[64];
    const __global uchar *x = MCV_ROW(0, m);
    float total = 0.0f, squares = 0.0f;
    for (int n = lane; n < D; n += 64) total += mcv_f32(x, n);
    const float mean = mcv_group_sum(shared, lane, total) / (float)D;
    for (int n = lane; n < D; n += 64) {
        const float off = mcv_f32(x, n) - mean;
        squares = fma(off, off, squares);
    }
    const float inverse_deviation = 1.0f / sqrt(mcv_group_sum(shared, lane, squares) / (float)D + EPS);
    __global uchar *y = MCV_ROW(3, m);
    float most = 0.0f, sum = 0.0f;
    for (int n = lane; n < D; n += 64) {
        float v = fma((mcv_f32(x, n) - mean) * inverse_deviation, mcv_f32(a1, n), mcv_f32(a2, n));
        most = fmax(most, fabs(v));
    }
    most = mcv_group_max(tops, lane, most);
    const float inverse = most > 1e-36f ? 127.0f / most : 0.0f;
    for (int n = lane; n < 608; n += 64) {
        float q = 0.0f;
        if (n < D) {
            float v = fma((mcv_f32(x, n) - mean) * inverse_deviation, mcv_f32(a1, n), mcv_f32(a2, n));
            q = clamp(rint(v * inverse), -127.0f, 127.0f);
        }
        ((__global char *)y)[n] = (char)q;
        sum += q;
    }
    sum = mcv_group_sum(tops, lane, sum);
    if (lane == 0) {
        __global float *scales = (__global float *)(y + 608);
        scales[0] = most / 127.0f;
        scales[1] = most / 127.0f * sum;
    }
}
