/* mcv launch k0 local 64 1 1 groups d1/64 d0/8 1 image 1 */
/* matmul q8/row@summed q8/row@panels16x8 {} -> f32 */
/* 8 rows times 1 channels per item, 64 items side by side. Activations pass through local memory, 4
 * parts of 32 values at a time; a part lies in one group. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1 MCV_IMAGE(1),
    __global uchar *b2, const ulong o2, const long s2,
    const int d0,
    const int d1,
    const int d2) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global uchar *a2 = b2 + o2;
    const int M = d0;
    const int N = 48;
    const int K = 588;
    const int lane = get_local_id(0), m0 = get_group_id(1) * 8, groups = (K + 608 - 1) / 608;
    const int all = groups * 19;
    const int n0 = (int)get_group_id(0) * 64 * 1 + lane;
    uint panel_at[1], panel[1];
    int at[1];
    MCV_UNROLL for (int c = 0; c < 1; c++) {
        const int n = min(n0 + c * 64, N - 1);
        panel_at[c] = n / 16;
        at[c] = n % 16;
        panel[c] = (uint)(o1 / 8) + panel_at[c] * (uint)groups * 1220;
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
            const int part = min(first + i % 4, all - 1), b = part / 19;
            const __global float *s = (__global const float *)(MCV_ROW(0, min(m0 + i / 4, M - 1)) + (long)groups * 608);
            scales[i] = s[b];
            shifts[i] = part % 19 == 0 ? -128.0f * s[groups + b] : 0.0f;
        }
        MCV_BARRIER;
        for (int p = 0; p < 4 && first + p < all; p++) {
            const int b = (first + p) / 19, inside = (first + p) % 19;
            mcv_sum sum[8][1];
            MCV_UNROLL for (int r = 0; r < 8; r++)
                MCV_UNROLL for (int c = 0; c < 1; c++) sum[r][c] = 0;
            for (int j = 0; j < 4; j++)
                MCV_UNROLL for (int c = 0; c < 1; c++) {
                    const uint2 eight = MCV_EIGHT_8(1, panel[c] + b * 1220 + 4 + inside * 64, j, at[c]);
                    const __local mcv_x4 *x = xs + p * 8 + 2 * j;
                    {
                        const mcv_w4 w = mcv_weights(eight.x, 128.0f);
                        MCV_UNROLL for (int r = 0; r < 8; r++) sum[r][c] = mcv_dot(sum[r][c], w, x[r * 32 + 0]);
                    }
                    {
                        const mcv_w4 w = mcv_weights(eight.y, 128.0f);
                        MCV_UNROLL for (int r = 0; r < 8; r++) sum[r][c] = mcv_dot(sum[r][c], w, x[r * 32 + 1]);
                    }
                }
            MCV_UNROLL for (int c = 0; c < 1; c++) {
                const float scale = vload_half((panel[c] + b * 1220) * 4 + at[c], (__global const half *)b1);
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
                    mcv_put_f32(MCV_ROW(2, m), n, v);
                }
            }
        }
    }
}
