/* mcv launch k0 local 64 1 1 groups d1/64 d0/8 1 image 1 */
/* matmul q8/32@summed q4/32@panels16x8 f32 f32 {bias, add} -> f32 */
/* 8 rows times 1 channels per item, 64 items side by side. Activations pass through local memory, 4
 * parts of 32 values at a time; a part lies in one group. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1 MCV_IMAGE(1),
    __global const uchar *b2, const ulong o2, const long s2,
    __global const uchar *b3, const ulong o3, const long s3,
    __global uchar *b4, const ulong o4, const long s4,
    const int d0,
    const int d1,
    const int d2) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global const uchar *a2 = b2 + o2;
    __global const uchar *a3 = b3 + o3;
    __global uchar *a4 = b4 + o4;
    const int M = d0;
    const int N = 96;
    const int K = 64;
    const int lane = get_local_id(0), m0 = get_group_id(1) * 8, groups = (K + 32 - 1) / 32;
    const int all = groups * 1;
    const int n0 = (int)get_group_id(0) * 64 * 1 + lane;
    uint panel_at[1], panel[1];
    int at[1];
    MCV_UNROLL for (int c = 0; c < 1; c++) {
        const int n = min(n0 + c * 64, N - 1);
        panel_at[c] = n / 16;
        at[c] = n % 16;
        panel[c] = (uint)(o1 / 8) + panel_at[c] * (uint)groups * 36;
    }
    __local mcv_x4 xs[8 * 32];
    __local float scales[8 * 4], shifts[8 * 4];
    float acc[8][1];
    MCV_UNROLL for (int r = 0; r < 8; r++)
        MCV_UNROLL for (int c = 0; c < 1; c++) acc[r][c] = 0.0f;
    for (int first = 0; first < all; first += 4) {
        for (int i = lane; i < 8 * 32; i += 64) {
            const int r = i / 32, word = first * 8 + i % 32;
            const __global uint *x = (__global const uint *)MCV_ROW(0, min(m0 + r, M - 1));
            xs[i] = mcv_activations(word < all * 8 ? x[word] : 0);
        }
        for (int i = lane; i < 8 * 4; i += 64) {
            const int part = min(first + i % 4, all - 1), b = part / 1;
            const __global float *s = (__global const float *)(MCV_ROW(0, min(m0 + i / 4, M - 1)) + (long)groups * 32);
            scales[i] = s[b];
            shifts[i] = part % 1 == 0 ? -8.0f * s[groups + b] : 0.0f;
        }
        MCV_BARRIER;
        for (int p = 0; p < 4 && first + p < all; p++) {
            const int b = (first + p) / 1, inside = (first + p) % 1;
            mcv_sum sum[8][1];
            MCV_UNROLL for (int r = 0; r < 8; r++)
                MCV_UNROLL for (int c = 0; c < 1; c++) sum[r][c] = 0;
            for (int j = 0; j < 2; j++)
                MCV_UNROLL for (int c = 0; c < 1; c++) {
                    const uint2 eight = MCV_EIGHT_8(1, panel[c] + b * 36 + 4 + inside * 32, j, at[c]);
                    const __local mcv_x4 *x = xs + p * 8 + 2 * j;
                    {
                        const mcv_w4 w = mcv_weights(eight.x & 0x0f0f0f0fu, 8.0f);
                        MCV_UNROLL for (int r = 0; r < 8; r++) sum[r][c] = mcv_dot(sum[r][c], w, x[r * 32 + 0]);
                    }
                    {
                        const mcv_w4 w = mcv_weights(eight.x >> 4 & 0x0f0f0f0fu, 8.0f);
                        MCV_UNROLL for (int r = 0; r < 8; r++) sum[r][c] = mcv_dot(sum[r][c], w, x[r * 32 + 4]);
                    }
                    {
                        const mcv_w4 w = mcv_weights(eight.y & 0x0f0f0f0fu, 8.0f);
                        MCV_UNROLL for (int r = 0; r < 8; r++) sum[r][c] = mcv_dot(sum[r][c], w, x[r * 32 + 1]);
                    }
                    {
                        const mcv_w4 w = mcv_weights(eight.y >> 4 & 0x0f0f0f0fu, 8.0f);
                        MCV_UNROLL for (int r = 0; r < 8; r++) sum[r][c] = mcv_dot(sum[r][c], w, x[r * 32 + 5]);
                    }
                }
            MCV_UNROLL for (int c = 0; c < 1; c++) {
                const float scale = vload_half((panel[c] + b * 36) * 4 + at[c], (__global const half *)b1);
                MCV_UNROLL for (int r = 0; r < 8; r++)
                    acc[r][c] = mcv_fold(acc[r][c], scale, sum[r][c], scales[r * 4 + p], shifts[r * 4 + p]);
            }
        }
        MCV_BARRIER;
    }
    MCV_UNROLL for (int r = 0; r < 8; r++) {
        const int m = m0 + r;
        if (m < M) {
            MCV_UNROLL for (int c = 0; c < 1; c++) {
                const int n = n0 + c * 64;
                if (n < N) {
                    float v = acc[r][c];
                    v += mcv_f32(a2, n);
                    v += mcv_f32(MCV_ROW(3, m), n);
                    mcv_put_f32(MCV_ROW(4, m), n, v);
                }
            }
        }
    }
}
