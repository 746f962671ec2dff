__global const int *position = (__global const int *)a0 + m * P;
__global uchar *y = MCV_ROW(@result@, m);
for (int i = begin / 2 + lane; i < end / 2; i += 64) {
    float angle = 0.0f;
    for (int p = 0; p < P; p++) {
        #pragma OPENCL FP_CONTRACT OFF
        angle += (float)position[p] * mcv_f32(a1, p * (D / 2) + i);
    }
    mcv_put_f32(y, i, cos(angle) * SCALE);
    mcv_put_f32(y, D / 2 + i, sin(angle) * SCALE);
}
