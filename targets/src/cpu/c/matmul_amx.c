/* Sums begin at the bits of 1.5 * 2^23 as a float, so that they are floats when they end. */
MCV_ALIGNED static const int32_t @symbol@_bits[16] = {@sixteen_bits@};

/* A tile's sums of one or two groups, a group's tiles being 1024 apart, scaled and added to `acc`. What a product
   with 1.5 * 2^23 has too much is exact: 11 bits of scale times two. */
MCV_INLINE void @symbol@_scale(const float *sums, const float *channel, const char *scales, int64_t stride, float *acc, int rows, const int GROUPS) {
    vf factor[2], excess[2];
    MCV_UNROLL for (int g = 0; g < GROUPS; g++) {
        factor[g] = vf_load(channel + 32 * g);
        excess[g] = vf_mul(factor[g], vf_set(-12582912.0f));
    }
    for (int r = 0; r < rows; r++, scales += stride) {
        vf sum = vf_load(acc + 16 * r);
        MCV_UNROLL for (int g = 0; g < GROUPS; g++)
            sum = vf_fma(vf_fma(vf_load(sums + 1024 * g + 16 * r), factor[g], excess[g]), vf_set(mcv_load_f32(scales + 4 * g)), sum);
        vf_store(acc + 16 * r, sum);
    }
}

/* `live` rows of x from m on, more than 16 if TALL, times two panels, whose groups from `first` on are unpacked in
   `bytes`. Loads run ahead of stores and stores follow their products late: the unit does neither out of order. */
MCV_INLINE void @symbol@_chunk(const mcv_call *c, amx_state *t, const int8_t *bytes, const float *channel, int count, int64_t first, int64_t m, int live, float *acc, const int TALL) {
    @sizes@
    const int depth = @depth@, parts = @group@ / depth;
    const int64_t groups = mcv_div_up(K, @group@), stride = c->arg[0].stride;
    const char *x = MCV_ROW(0, m) + first * @group@, *scales = MCV_ROW(0, m) + groups * @group@ + 4 * first;
    const int upper = live < 16 ? live : 16, lower = live - upper;
    MCV_ALIGNED float sums[2][2 * 1024];
    float *before = sums[1];
    amx_load(t, 4, x, stride);
    amx_load(t, 6, bytes, 64);
    amx_load(t, 7, bytes + 16 * @group@, 64);
    for (int step = 0; step <= (count + 1) / 2; step++)
        MCV_UNROLL for (int half = 0; half < 2; half++) {
            const int b = 2 * step + half;
            if (b < count) {
                float *to = sums[step % 2] + 1024 * half;
                amx_load(t, 0, @symbol@_bits, 0);
                amx_load(t, 1, @symbol@_bits, 0);
                MCV_UNROLL for (int part = 0; part < parts; part++) {
                    const int at = b * parts + part, next = at + 1 < count * parts ? at + 1 : at;
                    const int8_t *ahead = bytes + next / parts * 32 * @group@ + next % parts * 16 * depth;
                    amx_dot(t, 0, 4, 6);
                    amx_dot(t, 1, 4, 7);
                    if (TALL) {
                        amx_load(t, 5, x + 16 * stride + at * depth, stride);
                        if (part == 0) {
                            amx_store(t, 2, before + 512, 64);
                            amx_store(t, 3, before + 768, 64);
                            amx_load(t, 2, @symbol@_bits, 0);
                            amx_load(t, 3, @symbol@_bits, 0);
                        }
                        amx_dot(t, 2, 5, 6);
                        amx_dot(t, 3, 5, 7);
                    }
                    amx_load(t, 4, x + next * depth, stride);
                    amx_load(t, 6, ahead, 64);
                    amx_load(t, 7, ahead + 16 * @group@, 64);
                }
                amx_store(t, 0, to, 64);
                amx_store(t, 1, to + 256, 64);
                before = to;
            } else if (TALL && b == count) {
                amx_store(t, 2, before + 512, 64);
                amx_store(t, 3, before + 768, 64);
            }
            if (step == 0) continue;
            const int done = 2 * (step - 1);
            const float *from = sums[(step - 1) % 2];
            MCV_UNROLL for (int i = 0; i < 2; i++) {
                const int tile = TALL ? 2 * half + i : half, rows = tile < 2 ? upper : lower;
                if (!TALL && i) break;
                const char *scale = scales + 4 * done + tile / 2 * 16 * stride;
                const float *left = channel + 32 * done + tile % 2 * 16;
                if (done + 1 < count) @symbol@_scale(from + 256 * tile, left, scale, stride, acc + 256 * tile, rows, 2);
                else @symbol@_scale(from + 256 * tile, left, scale, stride, acc + 256 * tile, rows, 1);
            }
        }
}

/* Finishes and stores rows m to m + live. */
MCV_INLINE void @symbol@_finish(const mcv_call *c, int64_t m, int live, int64_t p, int64_t p_end, const float *acc) {
    const int pairs = @pair_count@;
    for (int r = 0; r < live; r++)
        for (int q = 0; q < pairs; q++) {
            const int64_t row = m + r;
            const float *sum = acc + 1024 * q + r / 16 * 512 + r % 16 * 16;
            const vf left = vf_load(sum), right = vf_load(sum + 256);
            @pair_put@
        }
}

/* Rows m to `end` times panels p to `p_end`, as far as tiles are worth it; the first row that is left. */
MCV_OUTLINE int64_t @symbol@_tiled(const mcv_call *c, amx_state *t, int64_t m, int64_t end, int64_t p, int64_t p_end) {
    @sizes@
    enum { CHUNK = 512 / @group@ };
    const int64_t panels = @all_panels@, groups = mcv_div_up(K, @group@), start = m;
    const int pairs = @pair_count@;
    MCV_ALIGNED int8_t bytes[@most_pairs@][CHUNK][2][16 * @group@];
    MCV_ALIGNED float channel[@most_pairs@][CHUNK][2][16], acc[@block_m@ / 32][@most_pairs@][1024];
    (void)panels;
    for (int64_t first = 0; first < groups; first += CHUNK) {
        const int count = (int)mcv_min(CHUNK, groups - first);
        for (int q = 0; q < pairs; q++) {
            const int64_t panel[2] = {@pair_panel@};
            for (int side = 0; side < 2; side++) {
                const char *w = c->arg[1].data + (panel[side] * groups + first) * @group_bytes@;
                for (int b = 0; b < count; b++, w += @group_bytes@) {
                    int8_t *to = bytes[q][b][side];
                    vf_store(channel[q][b][side], vf_load_f16((const uint16_t *)w));
                    @unpack@
                }
            }
        }
        int shaped = 0;
        for (m = start; end - m >= 8; m = mcv_min(end, m + 32)) {
            const int live = (int)mcv_min(32, end - m);
            const amx_shapes shapes = amx_shapes_for(@depth@, live);
            if (live != shaped) amx_configure(t, &shapes);
            shaped = live;
            if (first + count == groups) @symbol@_expect(c, m, live, p, p_end);
            for (int q = 0; q < pairs; q++) {
                float *sum = acc[(m - start) / 32][q];
                for (int i = 0; first == 0 && i < 1024; i += 16) vf_store(sum + i, vf_set(0.0f));
                if (live > 16) @symbol@_chunk(c, t, bytes[q][0][0], channel[q][0][0], count, first, m, live, sum, 1);
                else @symbol@_chunk(c, t, bytes[q][0][0], channel[q][0][0], count, first, m, live, sum, 0);
            }
            if (first + count == groups) @symbol@_finish(c, m, live, p, p_end, acc[(m - start) / 32][0]);
        }
    }
    return m;
}
