/* mcv launch k0 local 64 1 1 groups d0*d3/d4/8 d4 1 */
/* attention causal f32 f16 f16 f32 {} -> f32 */
/* Online softmax (Milakov and Gimelshein, 2018). A group of 64 items has 8 query rows of a key head, row r being
 * token r / G, head r % G of the G heads that share the keys, and steps over 64 keys at a time: an item has one key's
 * scores, then a part of one row's softmax, then 2 columns of the result. */
MCV_KERNEL(64) void k0(__global const uchar *b0, const ulong o0, const long s0,
    __global const uchar *b1, const ulong o1, const long s1,
    __global const uchar *b2, const ulong o2, const long s2,
    __global const uchar *b3, const ulong o3, const long s3,
    __global uchar *b4, const ulong o4, const long s4,
    const int d0,
    const int d1,
    const int d2,
    const int d3,
    const int d4,
    const float f0) {
    __global const uchar *a0 = b0 + o0;
    __global const uchar *a1 = b1 + o1;
    __global const uchar *a2 = b2 + o2;
    __global const uchar *a3 = b3 + o3;
    __global uchar *a4 = b4 + o4;
    const int M = d0;
    const int C = d1;
    const int D = 72;
    const int H = 4;
    const int KV = 2;
    const float SCALE = 0.125f;
    const int lane = get_local_id(0), key_head = get_group_id(1), G = H / KV, all = M * G, start = get_group_id(0) * 8;
    __local float queries[8 * 72], weights[8 * 64], tops[64], sums[64], most[8], total[8], keep[8];
    for (int i = lane; i < 8 * D; i += 64) {
        const int row = min(start + i / D, all - 1), n = i % D, token = row / G;
        const __global uchar *q = MCV_ROW(0, token) + (long)(key_head * G + row % G) * D * 4;
        const int half_head = D / 2, turn = n % half_head;
        const __global uchar *table = MCV_ROW(3, token);
        const float co = mcv_f32(table, turn), si = mcv_f32(table, half_head + turn);
        const float other = mcv_f32(q, n < half_head ? n + half_head : turn);
        const float v = n < half_head ? mcv_f32(q, n) * co - other * si : mcv_f32(q, n) * co + other * si;
        queries[i] = v * SCALE;
    }
    if (lane < 8) {
        most[lane] = -INFINITY;
        total[lane] = 0.0f;
    }
    float acc[8][2];
    MCV_UNROLL for (int r = 0; r < 8; r++)
        MCV_UNROLL for (int c = 0; c < 2; c++) acc[r][c] = 0.0f;
    const int seen = min(C, min(start + 7, all - 1) / G + C - M + 1);
    MCV_BARRIER;
    for (int first = 0; first < seen; first += 64) {
        const int key = first + lane;
        float score[8];
        MCV_UNROLL for (int r = 0; r < 8; r++) score[r] = 0.0f;
        if (key < seen) {
            const __global uchar *k = MCV_ROW(1, key) + (long)key_head * D * 2;
            int i = 0;
            for (; i + 4 <= D; i += 4) {
                const float4 part = mcv_f16x4(k, i);
                MCV_UNROLL for (int r = 0; r < 8; r++) score[r] += dot(vload4(0, queries + r * D + i), part);
            }
            for (; i < D; i++)
                MCV_UNROLL for (int r = 0; r < 8; r++) score[r] = fma(queries[r * D + i], mcv_f16(k, i), score[r]);
        }
        MCV_UNROLL for (int r = 0; r < 8; r++) weights[r * 64 + lane] = key < min((start + r) / G + C - M + 1, seen) ? score[r] : -INFINITY;
        MCV_BARRIER;
        const int row = lane / 8, at = row * 64 + lane % 8;
        float top = -INFINITY, sum = 0.0f;
        for (int i = 0; i < 64; i += 8) top = fmax(top, weights[at + i]);
        tops[lane] = top;
        MCV_BARRIER;
        for (int i = 0; i < 8; i++) top = fmax(top, tops[row * 8 + i]);
        const float old = most[row], now = fmax(old, top), shift = now == -INFINITY ? 0.0f : now;
        for (int i = 0; i < 64; i += 8) {
            const float weight = exp(weights[at + i] - shift);
            weights[at + i] = weight;
            sum += weight;
        }
        sums[lane] = sum;
        MCV_BARRIER;
        if (lane % 8 == 0) {
            for (int i = 1; i < 8; i++) sum += sums[lane + i];
            keep[row] = old == -INFINITY ? 0.0f : exp(old - now);
            total[row] = fma(total[row], keep[row], sum);
            most[row] = now;
        }
        MCV_BARRIER;
        MCV_UNROLL for (int r = 0; r < 8; r++)
            MCV_UNROLL for (int c = 0; c < 2; c++) acc[r][c] *= keep[r];
        for (int j = 0; j < 64 && first + j < seen; j++) {
            const __global uchar *value = MCV_ROW(2, first + j);
            MCV_UNROLL for (int c = 0; c < 2; c++) {
                const float v = mcv_f16(value, key_head * D + min(lane + 64 * c, D - 1));
                MCV_UNROLL for (int r = 0; r < 8; r++) acc[r][c] = fma(weights[r * 64 + j], v, acc[r][c]);
            }
        }
        MCV_BARRIER;
    }
    MCV_UNROLL for (int r = 0; r < 8; r++) {
        const int row = start + r;
        const float factor = total[r] > 0.0f ? 1.0f / total[r] : 0.0f;
        MCV_UNROLL for (int c = 0; c < 2; c++) {
            const int n = lane + 64 * c;
            if (row < all && n < D) mcv_put_f32(MCV_ROW(4, row / G), (key_head * G + row % G) * D + n, acc[r][c] * factor);
        }
    }
}
