/* gated_delta f32 f32 f32 f32 f32 f32 f32 f32 i32 {} -> f32 */
/* A unit: 16 columns of one head's memory, through all rows. */
MCV_API int64_t k0_units(const mcv_call *c) {
    const int64_t V = 5;
    const int64_t H = 4;
    return H * mcv_div_up(V, 16);
}

/* The factor that gives `x` the length `most`. */
MCV_INLINE float k0_scale(const float *x, int64_t width, float most) {
    vf squares = vf_set(0.0f);
    for (int64_t i = 0; i < width; i += 16) {
        const vf v = vf_load_n(x + i, mcv_count(width, i));
        squares = vf_fma(v, v, squares);
    }
    return most / sqrtf(vf_sum(squares) + 1e-6f);
}

MCV_API void k0(const mcv_call *c, int64_t begin, int64_t end) {
    const int64_t M = c->dim[0];
    const int64_t K = 6;
    const int64_t V = 5;
    const int64_t H = 4;
    const int64_t KH = 2;
    const int begins = *(const int32_t *)c->arg[8].data == 0;
    const int64_t across = mcv_div_up(V, 16);
    for (int64_t u = begin; u < end; u++) {
        const int64_t head = u / across, n = u % across * 16, shared = head / (H / KH) * K;
        const int count = mcv_count(V, n);
        const vf rate = vf_exp(vf_set(((const float *)c->arg[5].data)[head]));
        MCV_ALIGNED float memory[16 * 256];
        for (int64_t i = 0; i < K; i++) {
            const float *kept = (const float *)MCV_ROW(7, head * K + i) + n;
            vf_store(memory + 16 * i, begins ? vf_set(0.0f) : vf_load_n(kept, count));
        }
        for (int64_t m = 0; m < M; m++) {
            const float *q = (const float *)MCV_ROW(0, m) + shared, *k = (const float *)MCV_ROW(1, m) + shared;
            const float a = ((const float *)MCV_ROW(3, m))[head] + ((const float *)c->arg[6].data)[head];
            const float b = ((const float *)MCV_ROW(4, m))[head];
            const vf decay = vf_exp(vf_sub(vf_set(0.0f), vf_mul(rate, vf_softplus(vf_set(a)))));
            const float long_q = k0_scale(q, K, 1.0f / sqrtf((float)K)), long_k = k0_scale(k, K, 1.0f);
            vf known = vf_set(0.0f), read = vf_set(0.0f);
            for (int64_t i = 0; i < K; i++) {
                const vf faded = vf_mul(vf_load(memory + 16 * i), decay);
                vf_store(memory + 16 * i, faded);
                known = vf_fma(faded, vf_set(k[i] * long_k), known);
            }
            const vf v = vf_load_n((const float *)MCV_ROW(2, m) + head * V + n, count);
            const vf change = vf_mul(vf_sigmoid(vf_set(b)), vf_sub(v, known));
            for (int64_t i = 0; i < K; i++) {
                const vf now = vf_fma(vf_set(k[i] * long_k), change, vf_load(memory + 16 * i));
                vf_store(memory + 16 * i, now);
                read = vf_fma(now, vf_set(q[i] * long_q), read);
            }
            vf_store_n((float *)MCV_ROW(9, m) + head * V + n, read, count);
        }
        for (int64_t i = 0; i < K; i++) {
            vf_store_n((float *)MCV_ROW(7, head * K + i) + n, vf_load(memory + 16 * i), count);
        }
    }
}
