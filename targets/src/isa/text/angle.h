/* Sine and cosine of |x| < 10^6, about 1e-14: quarter turns taken off in two parts, then Taylor's series. */
typedef struct { double sine, cosine; } mcv_angle;
MCV_INLINE mcv_angle mcv_turn(double x) {
    const double quarters = x * 0.63661977236758134308;
    const int64_t n = (int64_t)(quarters + (quarters < 0 ? -0.5 : 0.5));
    const double r = (x - (double)n * 0x1.921fb544p+0) - (double)n * 0x1.0b4611a626331p-34, z = r * r;
    double s = 1.0, k = 1.0;
    for (int i = 14; i > 1; i -= 2) {
        s = 1.0 - s * z / (double)(i * (i + 1));
        k = 1.0 - k * z / (double)(i * (i - 1));
    }
    s *= r;
    const mcv_angle turns[4] = {{s, k}, {k, -s}, {-s, -k}, {-k, s}};
    return turns[n & 3];
}
