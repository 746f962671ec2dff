/* mcv launch k0 local 64 1 1 groups 1 d0 1 waves */
/* rms_norm f32 f32 {quantize/32} -> q8/32@summed */
/* A group of 64 items: a row. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1,
    __global uchar *b2, const ulong o2, const long s2,
    const int d0,
    const int d1,
    const int d2,
    const float f0) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global uchar *a2 = b2 + o2;
    const int D = 64;
    const float EPS = 1e-6f;
    const int lane = get_local_id(0), m = get_group_id(1);
    const int begin = 0, end = D;
    __local float shared[64];
    __local float tops[64];
    __local float sums[64];
    const __global uchar *x = MCV_ROW(0, m);
    float squares = 0.0f;
    for (int n = begin + lane; n < end; n += 64) squares = fma(mcv_f32(x, n), mcv_f32(x, n), squares);
    const float inverse_root = 1.0f / sqrt(mcv_group_sum(shared, lane, squares) / (float)(end - begin) + EPS);
    __global uchar *y = MCV_ROW(2, m);
    const int groups = (D + 32 - 1) / 32;
    __global float *scales = (__global float *)(y + (long)groups * 32);
    for (int start = begin; start < end; start += 256) {
        float part[4], most = 0.0f, sum = 0.0f;
        MCV_UNROLL for (int i = 0; i < 4; i++) {
            const int n = start + 4 * lane + i;
            part[i] = 0.0f;
            if (n < D) {
                float v = mcv_f32(x, n) * inverse_root * mcv_f32(a1, n - begin);
                part[i] = v;
            }
            most = fmax(most, fabs(part[i]));
        }
        tops[lane] = most;
        MCV_BARRIER;
        const int head = lane / 8 * 8, b = (start + 4 * lane) / 32;
        for (int i = 0; i < 8; i++) most = fmax(most, tops[head + i]);
        const float inverse = most > 1e-36f ? 127.0f / most : 0.0f;
        MCV_UNROLL for (int i = 0; i < 4; i++) {
            part[i] = clamp(rint(part[i] * inverse), -127.0f, 127.0f);
            sum += part[i];
        }
        if (b < groups) vstore4((char4)((char)part[0], (char)part[1], (char)part[2], (char)part[3]), 0, (__global char *)y + start + 4 * lane);
        sums[lane] = sum;
        MCV_BARRIER;
        if (lane == head && b < groups) {
            for (int i = 1; i < 8; i++) sum += sums[head + i];
            scales[b] = most / 127.0f;
            scales[groups + b] = most / 127.0f * sum;
        }
    }
}
