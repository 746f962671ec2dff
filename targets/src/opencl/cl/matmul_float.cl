/* @rows@ rows times @channels@ channels per item, 64 items side by side; weights are floats. */
MCV_KERNEL(64) void @symbol@(@params@) {
    @sizes@
    const int lane = get_local_id(0), m0 = get_group_id(1) * @rows@;
    @channel@
    __local float xs[@rows@ * 64];
    float acc[@rows@][@channels@];
    MCV_UNROLL for (int r = 0; r < @rows@; r++)
        MCV_UNROLL for (int c = 0; c < @channels@; c++) acc[r][c] = 0.0f;
    for (int first = 0; first < K; first += 64) {
        MCV_UNROLL for (int r = 0; r < @rows@; r++)
            xs[r * 64 + lane] = first + lane < K ? mcv_f32(MCV_ROW(0, min(m0 + r, M - 1)), first + lane) : 0.0f;
        MCV_BARRIER;
        for (int k = 0; k < 64 && first + k < K; k++)
            MCV_UNROLL for (int c = 0; c < @channels@; c++) {
                const float w = @load@(a1 + (long)panel[c] * K * 16 * @size@, (first + k) * 16 + at[c]);
                MCV_UNROLL for (int r = 0; r < @rows@; r++) acc[r][c] = fma(xs[r * 64 + k], w, acc[r][c]);
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
