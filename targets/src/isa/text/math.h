/* Elementary functions on 16 lanes. */

#ifndef MCV_RATIO
/* x / y for 1 <= y, as exactly as activations need it. */
MCV_INLINE vf vf_ratio(vf x, vf y) { return vf_div(x, y); }
/* p 2^n for whole -126 <= n <= 127 where x >= least, else 0. */
MCV_INLINE vf vf_raised(vf x, vf least, vf p, vf n) { return vf_less(x, least, vf_set(0.0f), vf_mul(p, vf_pow2(n))); }
#endif
/* e^x, about 1e-7 relative: x = n ln 2 + r, ln 2 split in two, minimax polynomial of degree 6; 0 below -87.3. */
MCV_INLINE vf vf_exp(vf x) {
    const vf low = vf_set(-87.3f), one = vf_set(1.0f);
    const vf z = vf_max(low, vf_min(vf_set(88.3f), x));
    const vf n = vf_round(vf_mul(z, vf_set(1.44269504088896341f)));
    const vf r = vf_fma(n, vf_set(2.12194440e-4f), vf_fma(n, vf_set(-0.693359375f), z));
    vf p = vf_fma(vf_set(1.3836835e-3f), r, vf_set(8.374824e-3f));
    p = vf_fma(p, r, vf_set(4.1668225e-2f));
    p = vf_fma(p, r, vf_set(0.1666642f));
    p = vf_fma(p, r, vf_set(0.4999999f));
    p = vf_fma(vf_fma(p, r, one), r, one);
    return vf_raised(x, low, p, n);
}
/* x / (1 + e^-x) */
MCV_INLINE vf vf_silu(vf x) {
    const vf one = vf_set(1.0f);
    return vf_ratio(x, vf_add(one, vf_exp(vf_sub(vf_set(0.0f), x))));
}
/* 1 / (1 + e^-x) */
MCV_INLINE vf vf_sigmoid(vf x) {
    const vf one = vf_set(1.0f);
    return vf_ratio(one, vf_add(one, vf_exp(vf_sub(vf_set(0.0f), x))));
}
/* ln(1 + e^x) = max(x, 0) + 2 artanh(t / (2 + t)), t = e^-|x|: the series up to s^15 errs by 2e-9, s being at most 1/3. */
MCV_INLINE vf vf_softplus(vf x) {
    const vf zero = vf_set(0.0f), t = vf_exp(vf_sub(zero, vf_abs(x)));
    const vf s = vf_div(t, vf_add(vf_set(2.0f), t)), square = vf_mul(s, s);
    vf p = vf_set(1.0f / 15);
    for (int odd = 13; odd > 0; odd -= 2) p = vf_fma(p, square, vf_set(1.0f / (float)odd));
    return vf_fma(vf_mul(p, s), vf_set(2.0f), vf_max(x, zero));
}
/* x/2 (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3) */
MCV_INLINE vf vf_gelu_tanh(vf x) {
    const vf u = vf_mul(x, vf_fma(vf_mul(x, x), vf_set(0.044715f), vf_set(1.0f)));
    return vf_ratio(x, vf_add(vf_set(1.0f), vf_exp(vf_mul(u, vf_set(-1.5957691216057308f)))));
}
/* x/2 (1 + erf(x / sqrt 2)); erfc by Abramowitz and Stegun 7.1.26, error below 1.5e-7. */
MCV_INLINE vf vf_gelu(vf x) {
    const vf zero = vf_set(0.0f), one = vf_set(1.0f);
    const vf z = vf_mul(vf_abs(x), vf_set(0.70710678118654752f));
    const vf t = vf_ratio(one, vf_fma(z, vf_set(0.3275911f), one));
    vf p = vf_fma(vf_set(1.061405429f), t, vf_set(-1.453152027f));
    p = vf_fma(p, t, vf_set(1.421413741f));
    p = vf_fma(p, t, vf_set(-0.284496736f));
    p = vf_fma(p, t, vf_set(0.254829592f));
    const vf erfc = vf_mul(vf_mul(p, t), vf_exp(vf_sub(zero, vf_mul(z, z))));
    const vf half = vf_mul(vf_mul(x, vf_set(0.5f)), erfc);
    return vf_less(x, zero, half, vf_sub(x, half));
}
