/* One row: each lane of a wave has @channels@ channels, the waves of a group of 256 items share K among them. */
MCV_KERNEL(256) void @symbol@(@params@) {
    @sizes@
    const int lane = MCV_LANE, wave = MCV_WAVE_AT, groups = (K + @group@ - 1) / @group@, m = 0, r = 0;
    const int all = groups * @parts_per_group@;
    @channel@
    const __global uint *words = (__global const uint *)a0;
    const __global float *s = (__global const float *)(a0 + (long)groups * @group@);
    __local float sums[256 * @channels@];
    float acc[1][@channels@];
    MCV_UNROLL for (int c = 0; c < @channels@; c++) acc[0][c] = 0.0f;
    for (int part = wave; part < all; part += 256 / MCV_WAVE) {
        const int b = part / @parts_per_group@, inside = part % @parts_per_group@;
        const __global uint *x = words + part * @part_words@;
        const uint mine = lane < @part_words@ ? x[lane] : 0;
        const float x_scale = s[b], shift = inside == 0 ? -@zero@.0f * s[groups + b] : 0.0f;
        mcv_sum sum[@channels@];
        MCV_UNROLL for (int c = 0; c < @channels@; c++) sum[c] = 0;
        MCV_UNROLL for (int j = 0; j < @steps@; j++)
            MCV_UNROLL for (int c = 0; c < @channels@; c++) {
                const uint2 eight = @eight@(1, panel[c] + b * @block@ + 4 + inside * @part_units@, j, at[c]);
                @products_one@
            }
        MCV_UNROLL for (int c = 0; c < @channels@; c++) {
            const float scale = vload_half((panel[c] + b * @block@) * 4 + at[c], (__global const half *)b1);
            acc[0][c] = mcv_fold(acc[0][c], scale, sum[c], x_scale, shift);
        }
    }
    MCV_UNROLL for (int c = 0; c < @channels@; c++) sums[(wave * @channels@ + c) * MCV_WAVE + lane] = acc[0][c];
    MCV_BARRIER;
    if (wave > 0) return;
    MCV_UNROLL for (int c = 0; c < @channels@; c++)
        for (int w = 1; w < 256 / MCV_WAVE; w++) acc[0][c] += sums[(w * @channels@ + c) * MCV_WAVE + lane];
    @put@
}
