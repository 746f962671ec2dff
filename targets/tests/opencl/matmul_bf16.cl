/* mcv launch k0 local 64 1 1 groups d1/64 d0/8 1 */
/* matmul f32 bf16@panels16x8 {scale} -> f32 */
/* 8 rows times 1 channels per item, 64 items side by side; weights are floats. */
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
    const int M = d0;
    const int N = 48;
    const int K = 588;
    const float FACTOR0 = 0.5f;
    const int lane = get_local_id(0), m0 = get_group_id(1) * 8;
    const int n0 = (int)get_group_id(0) * 64 * 1 + lane;
    uint panel_at[1], panel[1];
    int at[1];
    MCV_UNROLL for (int c = 0; c < 1; c++) {
        const int n = min(n0 + c * 64, N - 1);
        panel_at[c] = n / 16;
        at[c] = n % 16;
        panel[c] = panel_at[c];
    }
    __local float xs[8 * 64];
    float acc[8][1];
    MCV_UNROLL for (int r = 0; r < 8; r++)
        MCV_UNROLL for (int c = 0; c < 1; c++) acc[r][c] = 0.0f;
    for (int first = 0; first < K; first += 64) {
        MCV_UNROLL for (int r = 0; r < 8; r++)
            xs[r * 64 + lane] = first + lane < K ? mcv_f32(MCV_ROW(0, min(m0 + r, M - 1)), first + lane) : 0.0f;
        MCV_BARRIER;
        for (int k = 0; k < 64 && first + k < K; k++)
            MCV_UNROLL for (int c = 0; c < 1; c++) {
                const float w = mcv_bf16(a1 + (long)panel[c] * K * 16 * 2, (first + k) * 16 + at[c]);
                MCV_UNROLL for (int r = 0; r < 8; r++) acc[r][c] = fma(xs[r * 64 + k], w, acc[r][c]);
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
                    v *= FACTOR0;
                    mcv_put_f32(MCV_ROW(2, m), n, v);
                }
            }
        }
    }
}
