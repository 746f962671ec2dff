/* @rows@ rows times @channels@ channels per item, 64 items side by side. Activations pass through local memory, @parts@
 * parts of @part@ values at a time; a part lies in one group. */
MCV_KERNEL(64) void @symbol@(@params@) {
    @sizes@
    const int lane = get_local_id(0), m0 = get_group_id(1) * @rows@, groups = (K + @group@ - 1) / @group@;
    const int all = groups * @parts_per_group@;
    @channel@
    __local mcv_x4 xs[@rows@ * @words@];
    __local float scales[@rows@ * @parts@], shifts[@rows@ * @parts@];
    float acc[@rows@][@channels@];
    MCV_UNROLL for (int r = 0; r < @rows@; r++)
        MCV_UNROLL for (int c = 0; c < @channels@; c++) acc[r][c] = 0.0f;
    for (int first = 0; first < all; first += @parts@) {
        for (int i = lane; i < @rows@ * @words@; i += 64) {
            const int r = i / @words@, word = first * @part_words@ + i % @words@;
            const __global uint *x = (__global const uint *)MCV_ROW(0, min(m0 + r, M - 1));
            xs[i] = mcv_activations(word < all * @part_words@ ? x[word] : 0);
        }
        for (int i = lane; i < @rows@ * @parts@; i += 64) {
            const int part = min(first + i % @parts@, all - 1), b = part / @parts_per_group@;
            const __global float *s = (__global const float *)(MCV_ROW(0, min(m0 + i / @parts@, M - 1)) + (long)groups * @group@);
            scales[i] = s[b];
            shifts[i] = part % @parts_per_group@ == 0 ? -@zero@.0f * s[groups + b] : 0.0f;
        }
        MCV_BARRIER;
        for (int p = 0; p < @parts@ && first + p < all; p++) {
            const int b = (first + p) / @parts_per_group@, inside = (first + p) % @parts_per_group@;
            mcv_sum sum[@rows@][@channels@];
            MCV_UNROLL for (int r = 0; r < @rows@; r++)
                MCV_UNROLL for (int c = 0; c < @channels@; c++) sum[r][c] = 0;
            for (int j = 0; j < @steps@; j++)
                MCV_UNROLL for (int c = 0; c < @channels@; c++) {
                    const uint2 eight = @eight@(1, panel[c] + b * @block@ + 4 + inside * @part_units@, j, at[c]);
                    const __local mcv_x4 *x = xs + p * @part_words@ + 2 * j;
                    @products@
                }
            MCV_UNROLL for (int c = 0; c < @channels@; c++) {
                const float scale = vload_half((panel[c] + b * @block@) * 4 + at[c], (__global const half *)b1);
                MCV_UNROLL for (int r = 0; r < @rows@; r++)
                    acc[r][c] = mcv_fold(acc[r][c], scale, sum[r][c], scales[r * @parts@ + p], shifts[r * @parts@ + p]);
            }
        }
        MCV_BARRIER;
    }
    MCV_UNROLL for (int r = 0; r < @rows@; r++) {
        const int m = m0 + r;
        if (m < M) {
            @put@
        }
    }
}
