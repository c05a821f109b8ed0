// clang-format off
// Written by tools/fit_coefficients.py; do not edit. Constant term first. Errors are those of the fit alone,
// before rounding. A change of any number is a new stream version.
#pragma once

#include "platform.h"

namespace fastinit::coefficients {

// -2 ln(1 + f) / f on [sqrt(1/2) - 1, sqrt(2) - 1]; relative error 1.9e-7
FASTINIT_CONSTANT float log_f32[] = {
    -0x1p+1f,
    0x1.00006p+0f,
    -0x1.5559fp-1f,
    0x1.ff7474p-2f,
    -0x1.976ddcp-2f,
    0x1.6049e4p-2f,
    -0x1.4d64a8p-2f,
    0x1.a7d916p-3f,
};

// sin(pi y / 4) / y in z = y^2 on [0, 1]; relative error 3.1e-9
FASTINIT_CONSTANT float sin_f32[] = {
    0x1.921fb6p-1f,
    -0x1.4abbbap-4f,
    0x1.465ec6p-9f,
    -0x1.2d9bb8p-15f,
};

// cos(pi y / 4) in z = y^2 on [0, 1]; error 3.2e-8
FASTINIT_CONSTANT float cos_f32[] = {
    0x1p+0f,
    -0x1.3bd3a2p-2f,
    0x1.03b162p-6f,
    -0x1.4ea9e8p-12f,
};

// P of z / x = P(s) / Q(s), x = 2 Phi(z) - 1, s = 1 - x^2, |z| <= 2.02; relative error 9.4e-8
FASTINIT_CONSTANT float central_p[] = {
    0x1.8fcb1cp+1f,
    0x1.1415acp+7f,
    0x1.9c452p+9f,
    0x1.a1b634p+9f,
    0x1.3ae6a6p+6f,
};

// Q of the same, the constant term exactly 1
FASTINIT_CONSTANT float central_q[] = {
    0x1p+0f,
    0x1.df02bep+5f,
    0x1.e90e9cp+8f,
    0x1.802a64p+9f,
    0x1.6b48c8p+7f,
};

// z / x in v - 5, v = -2 ln(1 - x^2) in [0, 10]; relative error 9.4e-8
FASTINIT_CONSTANT float probit_near[] = {
    0x1.0fc8bep+1f,
    0x1.652c86p-3f,
    -0x1.8332a8p-10f,
    -0x1.d0c8b8p-13f,
    0x1.442aep-16f,
    -0x1.a146c8p-23f,
    -0x1.4ee988p-24f,
    0x1.04f8a8p-28f,
    0x1.5aa97ep-33f,
};

// z / x in sqrt(v) - 6.5, v in [10, 104]; relative error 5.7e-7
FASTINIT_CONSTANT float probit_far[] = {
    0x1.9209c6p+2f,
    0x1.02a164p+0f,
    0x1.1d4ab6p-13f,
    -0x1.68daaap-13f,
    0x1.e73844p-15f,
    -0x1.266a18p-16f,
    -0x1.2356dp-19f,
    0x1.cea476p-20f,
    0x1.17657ep-21f,
    -0x1.15caeap-22f,
    0x1.a1fc6ep-28f,
    0x1.16e7f6p-28f,
};

// (atanh(s) / s - 1) / v in v = s^2, s = f / (2 + f): ln(1 + f) = 2 s (1 + v p(v))
FASTINIT_CONSTANT double log_f64[] = {
    0x1.5555555555555p-2,
    0x1.9999999999a38p-3,
    0x1.2492492476cccp-3,
    0x1.c71c720159177p-4,
    0x1.745cf9048dd95p-4,
    0x1.3b1c355a8f7a2p-4,
    0x1.0fbe95d71602p-4,
    0x1.0c039c49989c6p-4,
};

// sin(pi y / 4) / y in z = y^2 on [0, 1]
FASTINIT_CONSTANT double sin_f64[] = {
    0x1.921fb54442d18p-1,
    -0x1.4abbce625be53p-4,
    0x1.466bc6775aae2p-9,
    -0x1.32d2cce62bd82p-15,
    0x1.50783487edcdbp-22,
    -0x1.e3074fdc9bf34p-30,
    0x1.e8f4318c0c907p-38,
    -0x1.6faa7e91b299fp-46,
    0x1.a7788b76b30d1p-55,
};

// cos(pi y / 4) in z = y^2 on [0, 1]
FASTINIT_CONSTANT double cos_f64[] = {
    0x1p+0,
    -0x1.3bd3cc9be45dep-2,
    0x1.03c1f081b5ac4p-6,
    -0x1.55d3c7e3cbff7p-12,
    0x1.e1f506891ae95p-19,
    -0x1.a6d1f2a086c9p-26,
    0x1.f9d3870871194p-34,
    -0x1.b6de8b8e9ba08p-42,
    0x1.1e745e5e09f6dp-50,
};

// (z + 2) Q(z) / phi(z) in t = (z - 3) / (z + 5), z in [-1, inf); relative error 1.7e-20
FASTINIT_CONSTANT double mills_f64[] = {
    0x1.85e0262a319e6p+0,
    -0x1.032f622e3cf5dp+0,
    0x1.a0727e94db311p-1,
    -0x1.be74976e4e7b4p-2,
    0x1.225a0319e3a9dp-4,
    0x1.0c7edd8af1b86p-3,
    -0x1.3a2a7135438b6p-3,
    0x1.5ae04b98f56c2p-4,
    -0x1.4198170af336fp-6,
    -0x1.7c3a4361183dep-8,
    0x1.4ed8d0b016911p-8,
    -0x1.9a93fdb86949ep-13,
    -0x1.daa7ee5d53592p-11,
    0x1.3355de06ff37dp-13,
    0x1.63ba48f29c24bp-13,
    -0x1.2206c9dde2a58p-15,
    -0x1.32fd3470d6c37p-15,
    0x1.79da5e4f1af06p-18,
    0x1.256fbba19707p-17,
    -0x1.05f9449ad6f4cp-22,
    -0x1.1b74e9b6c022ep-19,
    -0x1.57599d89e753dp-22,
    0x1.ee296cda1061bp-22,
    0x1.8ce1284f570bfp-23,
    -0x1.42619cb1252a5p-24,
    -0x1.1cd1c4ca8af72p-24,
    0x1.ed6ea199beea5p-29,
    0x1.244f06384600bp-26,
    0x1.6003239c567fdp-29,
    -0x1.8d3223e6e2bbap-29,
    -0x1.d355d1bd3e953p-31,
    0x1.0cb5df780d7e9p-32,
    0x1.b00c15adc3a5bp-34,
};

}  // namespace fastinit::coefficients
