const int head = m / M, key_head = head / (H / KV);
const __global uchar *q = MCV_ROW(0, m % M);
for (int n = begin + lane; n < end; n += 64) {
    const __global uchar *k = MCV_ROW(1, n);
    float sum = 0.0f;
    for (int i = 0; i < D; i++) sum = fma(mcv_f32(q, head * D + i), mcv_@elem@(k, key_head * D + i), sum);
    mcv_put_f32(MCV_ROW(@result@, m), n, SCALE * sum);
}
