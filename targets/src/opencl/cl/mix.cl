for (int n = begin + lane; n < end; n += 64) {
    const int head = n / D, column = head / (H / KV) * D + n % D;
    const __global uchar *p = MCV_ROW(0, head * M + m);
    float sum = 0.0f;
    for (int key = 0; key < C; key++) sum = fma(mcv_f32(p, key), mcv_@elem@(MCV_ROW(1, key), column), sum);
    mcv_put_f32(MCV_ROW(@result@, m), n, sum);
}
