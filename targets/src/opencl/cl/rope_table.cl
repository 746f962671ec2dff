const float position = (float)((__global const int *)a0)[m];
__global uchar *y = MCV_ROW(@result@, m);
for (int i = begin / 2 + lane; i < end / 2; i += 64) {
    const float angle = position * mcv_f32(a1, i);
    mcv_put_f32(y, i, cos(angle) * SCALE);
    mcv_put_f32(y, D / 2 + i, sin(angle) * SCALE);
}
