__global uchar *y = MCV_ROW(@result@, @to@);
const int groups = (@width@ + @group@ - 1) / @group@;
__global float *scales = (__global float *)(y + (long)groups * @group@);
for (int start = begin; start < end; start += 256) {
    float part[4], most = 0.0f, sum = 0.0f;
    MCV_UNROLL for (int i = 0; i < 4; i++) {
        const int n = start + 4 * lane + i;
        part[i] = 0.0f;
        if (n < @width@) {
            float v = @value@;
            @epilogue@
            part[i] = v;
        }
        most = fmax(most, fabs(part[i]));
    }
    tops[lane] = most;
    MCV_BARRIER;
    const int head = lane / @lanes@ * @lanes@, b = (start + 4 * lane) / @group@;
    for (int i = 0; i < @lanes@; i++) most = fmax(most, tops[head + i]);
    const float inverse = most > 1e-36f ? 127.0f / most : 0.0f;
    MCV_UNROLL for (int i = 0; i < 4; i++) {
        part[i] = clamp(rint(part[i] * inverse), -127.0f, 127.0f);
        sum += part[i];
    }
    if (b < groups) vstore4((char4)((char)part[0], (char)part[1], (char)part[2], (char)part[3]), 0, (__global char *)y + start + 4 * lane);
    sums[lane] = sum;
    MCV_BARRIER;
    if (lane == head && b < groups) {
        for (int i = 1; i < @lanes@; i++) sum += sums[head + i];
        scales[b] = most / 127.0f;
        scales[groups + b] = most / 127.0f * sum;
    }
}
