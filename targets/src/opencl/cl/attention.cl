/* Online softmax (Milakov and Gimelshein, 2018). A group of 64 items has @rows@ query rows of a key head, row r being
 * token r / G, head r % G of the G heads that share the keys, and steps over 64 keys at a time: an item has one key's
 * scores, then a part of one row's softmax, then @columns@ columns of the result. */
MCV_KERNEL(64) void @symbol@(@params@) {
    @sizes@
    const int lane = get_local_id(0), key_head = get_group_id(1), G = H / KV, all = M * G, start = get_group_id(0) * @rows@;
    __local float queries[@rows@ * @wide@], weights[@rows@ * 64], tops[64], sums[64], most[@rows@], total[@rows@], keep[@rows@];
    for (int i = lane; i < @rows@ * D; i += 64) {
        const int row = min(start + i / D, all - 1), n = i % D, token = row / G;
        const __global uchar *q = MCV_ROW(0, token) + (long)(key_head * G + row % G) * D * 4;
        @query@
        queries[i] = v * SCALE;
    }
    if (lane < @rows@) {
        most[lane] = -INFINITY;
        total[lane] = 0.0f;
    }
    float acc[@rows@][@columns@];
    MCV_UNROLL for (int r = 0; r < @rows@; r++)
        MCV_UNROLL for (int c = 0; c < @columns@; c++) acc[r][c] = 0.0f;
    const int seen = @seen_group@;
    MCV_BARRIER;
    for (int first = 0; first < seen; first += 64) {
        const int key = first + lane;
        float score[@rows@];
        MCV_UNROLL for (int r = 0; r < @rows@; r++) score[r] = 0.0f;
        if (key < seen) {
            const __global uchar *k = MCV_ROW(1, key) + (long)key_head * D * @size@;
            int i = 0;
            for (; i + 4 <= D; i += 4) {
                const float4 part = mcv_@elem@x4(k, i);
                MCV_UNROLL for (int r = 0; r < @rows@; r++) score[r] += dot(vload4(0, queries + r * D + i), part);
            }
            for (; i < D; i++)
                MCV_UNROLL for (int r = 0; r < @rows@; r++) score[r] = fma(queries[r * D + i], mcv_@elem@(k, i), score[r]);
        }
        MCV_UNROLL for (int r = 0; r < @rows@; r++) weights[r * 64 + lane] = key < @seen_row@ ? score[r] : -INFINITY;
        MCV_BARRIER;
        const int row = lane / @per_row@, at = row * 64 + lane % @per_row@;
        float top = -INFINITY, sum = 0.0f;
        for (int i = 0; i < 64; i += @per_row@) top = fmax(top, weights[at + i]);
        tops[lane] = top;
        MCV_BARRIER;
        for (int i = 0; i < @per_row@; i++) top = fmax(top, tops[row * @per_row@ + i]);
        const float old = most[row], now = fmax(old, top), shift = now == -INFINITY ? 0.0f : now;
        for (int i = 0; i < 64; i += @per_row@) {
            const float weight = exp(weights[at + i] - shift);
            weights[at + i] = weight;
            sum += weight;
        }
        sums[lane] = sum;
        MCV_BARRIER;
        if (lane % @per_row@ == 0) {
            for (int i = 1; i < @per_row@; i++) sum += sums[lane + i];
            keep[row] = old == -INFINITY ? 0.0f : exp(old - now);
            total[row] = fma(total[row], keep[row], sum);
            most[row] = now;
        }
        MCV_BARRIER;
        MCV_UNROLL for (int r = 0; r < @rows@; r++)
            MCV_UNROLL for (int c = 0; c < @columns@; c++) acc[r][c] *= keep[r];
        for (int j = 0; j < 64 && first + j < seen; j++) {
            const __global uchar *value = MCV_ROW(2, first + j);
            MCV_UNROLL for (int c = 0; c < @columns@; c++) {
                const float v = mcv_@elem@(value, key_head * D + min(lane + 64 * c, D - 1));
                MCV_UNROLL for (int r = 0; r < @rows@; r++) acc[r][c] = fma(weights[r * 64 + j], v, acc[r][c]);
            }
        }
        MCV_BARRIER;
    }
    MCV_UNROLL for (int r = 0; r < @rows@; r++) {
        const int row = start + r;
        const float factor = total[r] > 0.0f ? 1.0f / total[r] : 0.0f;
        MCV_UNROLL for (int c = 0; c < @columns@; c++) {
            const int n = lane + 64 * c;
            if (row < all && n < D) mcv_put_f32(MCV_ROW(@result@, row / G), (key_head * G + row % G) * D + n, acc[r][c] * factor);
        }
    }
}
