/* Floating point: KISS FFT forwards and back, cglm's matrices and quaternions, and the C library's functions. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef stderr
#define stderr NULL
#define fprintf(...) ((void)0)
#include <kiss_fft.c>

#include <cglm/cglm.h>

#include "support.h"

static void transforms(int size)
{
    static kiss_fft_cpx in[720], out[720], back[720];
    kiss_fft_cfg forth = kiss_fft_alloc(size, 0, NULL, NULL), inverse = kiss_fft_alloc(size, 1, NULL, NULL);
    require(forth && inverse && size <= 720);
    for (int k = 0; k < size; k++) {
        in[k].r = random_float();
        in[k].i = random_float();
    }
    kiss_fft(forth, in, out);
    kiss_fft(inverse, out, back);
    for (int k = 0; k < size; k++)
        require(fabsf(back[k].r / (float)size - in[k].r) < 1e-5f && fabsf(back[k].i / (float)size - in[k].i) < 1e-5f);
    show("fft", digest(out, sizeof *out * (size_t)size));
    free(forth);
    free(inverse);
}

static uint64_t matrices(int rounds)
{
    uint64_t sum = 0;
    for (int k = 0; k < rounds; k++) {
        mat4 a, b, c;
        versor q;
        vec3 axis = {random_float() + 2, random_float(), random_float()}, turned;
        for (int n = 0; n < 16; n++)
            ((float *)a)[n] = random_float() + (n % 5 == 0 ? 4.0f : 0.0f);
        glm_mat4_inv(a, b);
        glm_mat4_mul(a, b, c);
        for (int n = 0; n < 16; n++)
            require(fabsf(((float *)c)[n] - (n % 5 == 0)) < 1e-4f);
        glm_quatv(q, random_float() * 3, axis);
        glm_quat_rotatev(q, axis, turned);
        glm_quat_mat4(q, c);
        glm_rotate(c, random_float(), axis);
        sum = sum * 31 + digest(b, sizeof b) + digest(c, sizeof c) + digest(turned, sizeof turned);
    }
    return sum;
}

static uint64_t functions(int rounds)
{
    uint64_t sum = 0;
    for (int k = 0; k < rounds; k++) {
        double x = (double)random_float() * exp2((double)(random32() % 20)), y = random_float();
        double d[] = {sin(x), cos(x), tan(x), exp(y * 20), log(fabs(x)), pow(fabs(x), y), sqrt(fabs(x)), cbrt(x),
                      atan2(x, y), tgamma(y * 8), erf(y), fmod(x, 0.1 + y * y), rint(x), floor(x), hypot(x, y)};
        float f[] = {sinf((float)x), expf((float)y), logf((float)fabs(x)), powf((float)fabs(x), (float)y), fmaf((float)x, (float)y, 1)};
        int64_t i[] = {llrint(x), (int64_t)(x * 1000), (int64_t)(float)x, lrintf((float)x)};
        sum = sum * 31 + digest(d, sizeof d) + digest(f, sizeof f) + digest(i, sizeof i);
    }
    return sum;
}

int main(void)
{
    uint64_t sum = 0;
    for (int round = 0; round < SCALE; round++) {
        static const int sizes[] = {1, 2, 7, 64, 100, 243, 512, 720};
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            transforms(sizes[k]);
        show("matrices", matrices(200));
        show("functions", sum = functions(400));
    }
    return (int)(sum % 90);
}
