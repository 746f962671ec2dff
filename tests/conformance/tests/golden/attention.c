/* attention f32 f32 f32 {} -> f32 */
/* `count` rows of `D` values from p on, as f32 rows of `wide`, zeros around. */
MCV_INLINE void k0_fetch(float *to, const char *p, int64_t stride, int count, int64_t D, int64_t wide) {
    for (int r = 0; r < 16; r++)
        for (int64_t i = 0; i < wide; i += 16)
            vf_store(to + r * wide + i, r < count ? vf_load_n((const float *)(p + r * stride) + i, mcv_count(D, i)) : vf_set(0.0f));
}

/* Query row r of a key head: token r / G, head r % G of the G heads that share the keys. */
MCV_INLINE void k0_query(const mcv_call *c, float *to, int64_t shared, int64_t r) {
    const int64_t D = 64;
    const int64_t H = 2;
    const int64_t KV = 2;
    const float SCALE = 0.7f;
    const int64_t G = H / KV, wide = mcv_div_up(D, 16) * 16;
    const float *q = (const float *)MCV_ROW(0, r / G) + (shared * G + r % G) * D;
    const vf scale = vf_set(SCALE);
    for (int64_t i = 0; i < wide; i++) to[i] = 0.0f;
    for (int64_t i = 0; i < D; i += 16) {
        const int count = mcv_count(D, i);
        vf_store_n(to + i, vf_mul(vf_load_n(q + i, count), scale), count);
    }
}

/* Turns 64 scores, `live` of them seen, into weights against the new maximum; rescales what was summed before. */
MCV_INLINE void k0_weigh(float *s, int64_t live, float *most, float *total, float *out, int64_t wide) {
    const vf never = vf_set(-INFINITY);
    vf top = never, sum = vf_set(0.0f);
    for (int i = 0; i < 64; i += 16) {
        const int count = live > i ? mcv_count(live, i) : 0;
        const vf part = vf_first(count, vf_load(s + i), never);
        vf_store(s + i, part);
        top = vf_max(top, part);
    }
    const float old = *most, best = vf_top(top), now = old > best ? old : best;
    const vf shift = vf_set(now == -INFINITY ? 0.0f : now);
    for (int i = 0; i < 64; i += 16) {
        const vf part = vf_exp(vf_sub(vf_load(s + i), shift));
        vf_store(s + i, part);
        sum = vf_add(sum, part);
    }
    const float keep = old == now ? 1.0f : old == -INFINITY ? 0.0f : vf_top(vf_exp(vf_set(old - now)));
    *most = now;
    *total = *total * keep + vf_sum(sum);
    if (keep != 1.0f)
        for (int64_t i = 0; i < wide; i += 16) vf_store(out + i, vf_mul(vf_load(out + i), vf_set(keep)));
}

/* 16 keys of a head from `first` on, turned: value i of key j is tile[i * 16 + j]; zeros from `seen` on. */
MCV_INLINE void k0_turn(const mcv_call *c, float *tile, int64_t shared, int64_t first, int64_t seen) {
    const int64_t D = 64;
    for (int part = 0; part < 16; part += 16) {
        const int64_t key = first + part;
        const char *p = MCV_ROW(1, key) + shared * D * 4;
        for (int64_t i = 0; i < D; i += 16) {
            const int wide = mcv_count(D, i);
            vf lanes[16];
            MCV_UNROLL for (int j = 0; j < 16; j++)
                lanes[j] = key + j < seen ? vf_load_n((const float *)(p + j * c->arg[1].stride) + i, wide) : vf_set(0.0f);
            vf_turn(lanes);
            for (int j = 0; j < wide; j++) vf_store(tile + (i + j) * 16 + part, lanes[j]);
        }
    }
}

/* Scores of `rows` queries with 64 keys from `first` on. */
MCV_INLINE void k0_scores(const mcv_call *c, const float *q, float *s, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    const int64_t D = 64;
    const int64_t wide = mcv_div_up(D, 16) * 16;
    for (int64_t key = 0; key < 64 && first + key < seen; key += 16) {
        k0_turn(c, tile, shared, first + key, seen);
        for (int r = 0; r < rows; r += 4) {
            vf sum[4][1];
            MCV_UNROLL for (int i = 0; i < 4; i++)
                MCV_UNROLL for (int v = 0; v < 1; v++) sum[i][v] = vf_set(0.0f);
            for (int64_t d = 0; d < D; d++) {
                vf part[1];
                MCV_UNROLL for (int v = 0; v < 1; v++) part[v] = vf_load(tile + d * 16 + 16 * v);
                MCV_UNROLL for (int i = 0; i < 4; i++) {
                    const vf x = vf_set(q[(r + i) * wide + d]);
                    MCV_UNROLL for (int v = 0; v < 1; v++) sum[i][v] = vf_fma(x, part[v], sum[i][v]);
                }
            }
            MCV_UNROLL for (int i = 0; i < 4; i++)
                MCV_UNROLL for (int v = 0; v < 1; v++) vf_store(s + (r + i) * 64 + key + 16 * v, sum[i][v]);
        }
    }
}

/* 4 rows, VECTORS times 16 columns: adds 16 values weighted by s. */
MCV_INLINE void k0_add(const float *s, float *out, const float *tile, int64_t wide, const int VECTORS) {
    vf sum[4][1];
    MCV_UNROLL for (int i = 0; i < 4; i++)
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = vf_load(out + i * wide + 16 * v);
    for (int j = 0; j < 16; j++) {
        vf part[1];
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) part[v] = vf_load(tile + j * wide + 16 * v);
        MCV_UNROLL for (int i = 0; i < 4; i++) {
            const vf x = vf_set(s[i * 64 + j]);
            MCV_UNROLL for (int v = 0; v < VECTORS; v++) sum[i][v] = vf_fma(x, part[v], sum[i][v]);
        }
    }
    MCV_UNROLL for (int i = 0; i < 4; i++)
        MCV_UNROLL for (int v = 0; v < VECTORS; v++) vf_store(out + i * wide + 16 * v, sum[i][v]);
}

/* Adds the values of 64 keys from `first` on, weighted by s. */
MCV_INLINE void k0_mix(const mcv_call *c, const float *s, float *out, float *tile, int64_t shared, int rows, int64_t first, int64_t seen) {
    const int64_t D = 64;
    const int64_t wide = mcv_div_up(D, 16) * 16;
    for (int64_t key = 0; key < 64 && first + key < seen; key += 16) {
        const int count = mcv_count(seen, first + key);
        k0_fetch(tile, MCV_ROW(2, first + key) + shared * D * 4, c->arg[2].stride, count, D, wide);
        for (int r = 0; r < rows; r += 4) {
            int64_t i = 0;
            for (; i + 16 * 1 <= wide; i += 16 * 1)
                k0_add(s + r * 64 + key, out + r * wide + i, tile + i, wide, 1);
            for (; i < wide; i += 16) k0_add(s + r * 64 + key, out + r * wide + i, tile + i, wide, 1);
        }
    }
}

/* A unit: 64 query rows of a key head, fewer when there is one token. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t M = c->dim[0];
    const int64_t H = 2;
    const int64_t KV = 2;
    return KV * mcv_div_up(M * (H / KV), M == 1 ? 4 : 64);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t C = c->dim[1];
    const int64_t D = 64;
    const int64_t H = 2;
    const int64_t KV = 2;
    const int64_t G = H / KV, block = M == 1 ? 4 : 64, blocks = mcv_div_up(M * G, block);
    const int64_t wide = mcv_div_up(D, 16) * 16;
    MCV_ALIGNED float q[64 * 64], out[64 * 64], tile[16 * 64], s[64 * 64];
    float most[64], total[64];
    for (int64_t u = begin; u < end; u++) {
        const int64_t shared = u / blocks, start = u % blocks * block;
        const int rows = (int)mcv_min(block, M * G - start);
        for (int r = 0; r < rows; r++) {
            k0_query(c, q + r * wide, shared, start + r);
            for (int64_t i = 0; i < wide; i++) out[r * wide + i] = 0.0f;
            most[r] = -INFINITY;
            total[r] = 0.0f;
        }
        for (int r = rows; r % 4; r++)
            for (int64_t i = 0; i < wide; i++) q[r * wide + i] = out[r * wide + i] = 0.0f;
        const int64_t seen = C;
        for (int64_t first = 0; first < seen; first += 64) {
            k0_scores(c, q, s, tile, shared, rows, first, seen);
            for (int r = 0; r < rows; r++)
                k0_weigh(s + r * 64, C - first, most + r, total + r, out + r * wide, wide);
            k0_mix(c, s, out, tile, shared, rows, first, seen);
        }
        for (int r = 0; r < rows; r++) {
            const int64_t m = (start + r) / G, head = (shared * G + (start + r) % G) * D;
            const vf factor = vf_set(total[r] > 0.0f ? 1.0f / total[r] : 0.0f);
            float *y = (float *)MCV_ROW(3, m) + head;
            for (int64_t i = 0; i < D; i += 16) vf_store_n(y + i, vf_mul(vf_load(out + r * wide + i), factor), mcv_count(D, i));
        }
    }
}
