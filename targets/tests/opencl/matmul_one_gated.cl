/* mcv launch k0 local 256 1 1 groups d1/2/W 1 1 image 1 waves */
/* matmul q8/32@summed q4/32@panels16x8 {gated silu} -> f32 */
/* One row: each lane of a wave has 2 channels, the waves of a group of 256 items share K among them. */
MCV_KERNEL(256) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1 MCV_IMAGE(1),
    __global uchar *b2, const ulong o2, const long s2,
    const int d0,
    const int d1,
    const int d2) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global uchar *a2 = b2 + o2;
    const int N = 96;
    const int K = 64;
    const int lane = MCV_LANE, wave = MCV_WAVE_AT, groups = (K + 32 - 1) / 32, m = 0, r = 0;
    const int all = groups * 1;
    const int n0 = min((int)get_group_id(0) * MCV_WAVE + lane, N / 2 - 1);
    uint panel_at[2], panel[2];
    int at[2];
    MCV_UNROLL for (int c = 0; c < 2; c++) {
        const int n = min(n0 + c * (N / 2), N - 1);
        panel_at[c] = n / 16;
        at[c] = n % 16;
        panel[c] = (uint)(o1 / 8) + panel_at[c] * (uint)groups * 36;
    }
    const __global uint *words = (__global const uint *)a0;
    const __global float *s = (__global const float *)(a0 + (long)groups * 32);
    __local float sums[256 * 2];
    float acc[1][2];
    MCV_UNROLL for (int c = 0; c < 2; c++) acc[0][c] = 0.0f;
    for (int part = wave; part < all; part += 256 / MCV_WAVE) {
        const int b = part / 1, inside = part % 1;
        const __global uint *x = words + part * 8;
        const uint mine = lane < 8 ? x[lane] : 0;
        const float x_scale = s[b], shift = inside == 0 ? -8.0f * s[groups + b] : 0.0f;
        mcv_sum sum[2];
        MCV_UNROLL for (int c = 0; c < 2; c++) sum[c] = 0;
        MCV_UNROLL for (int j = 0; j < 2; j++)
            MCV_UNROLL for (int c = 0; c < 2; c++) {
                const uint2 eight = MCV_EIGHT_8(1, panel[c] + b * 36 + 4 + inside * 32, j, at[c]);
                sum[c] = mcv_dot(sum[c], mcv_weights(eight.x & 0x0f0f0f0fu, 8.0f), mcv_activations(MCV_WORD(x, mine, 2 * j + 0)));
                sum[c] = mcv_dot(sum[c], mcv_weights(eight.x >> 4 & 0x0f0f0f0fu, 8.0f), mcv_activations(MCV_WORD(x, mine, 2 * j + 4)));
                sum[c] = mcv_dot(sum[c], mcv_weights(eight.y & 0x0f0f0f0fu, 8.0f), mcv_activations(MCV_WORD(x, mine, 2 * j + 1)));
                sum[c] = mcv_dot(sum[c], mcv_weights(eight.y >> 4 & 0x0f0f0f0fu, 8.0f), mcv_activations(MCV_WORD(x, mine, 2 * j + 5)));
            }
        MCV_UNROLL for (int c = 0; c < 2; c++) {
            const float scale = vload_half((panel[c] + b * 36) * 4 + at[c], (__global const half *)b1);
            acc[0][c] = mcv_fold(acc[0][c], scale, sum[c], x_scale, shift);
        }
    }
    MCV_UNROLL for (int c = 0; c < 2; c++) sums[(wave * 2 + c) * MCV_WAVE + lane] = acc[0][c];
    MCV_BARRIER;
    if (wave > 0) return;
    MCV_UNROLL for (int c = 0; c < 2; c++)
        for (int w = 1; w < 256 / MCV_WAVE; w++) acc[0][c] += sums[(w * 2 + c) * MCV_WAVE + lane];
    MCV_UNROLL for (int c = 0; c < 1; c++) {
        const int n = (int)get_group_id(0) * MCV_WAVE + lane;
        if (n < N / 2) {
            float v = acc[r][c];
            float u = acc[r][1];
            v = mcv_silu(v) * u;
            mcv_put_f32(MCV_ROW(2, m), n, v);
        }
    }
}
