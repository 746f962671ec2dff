__global uchar *y = MCV_ROW(@result@, @to@);
float most = 0.0f, sum = 0.0f;
for (int n = lane; n < @width@; n += 64) {
    float v = @value@;
    @epilogue@
    most = fmax(most, fabs(v));
}
most = mcv_group_max(tops, lane, most);
const float inverse = most > 1e-36f ? 127.0f / most : 0.0f;
for (int n = lane; n < @group@; n += 64) {
    float q = 0.0f;
    if (n < @width@) {
        float v = @value@;
        @epilogue@
        q = clamp(rint(v * inverse), -127.0f, 127.0f);
    }
    ((__global char *)y)[n] = (char)q;
    sum += q;
}
sum = mcv_group_sum(tops, lane, sum);
if (lane == 0) {
    __global float *scales = (__global float *)(y + @group@);
    scales[0] = most / 127.0f;
    scales[1] = most / 127.0f * sum;
}
