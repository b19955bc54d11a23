/* Loops that a compiler may vectorise: GSL's BLAS in single, double and complex, and SIMDe's lanes written as loops. */
#include <saxpy.c>
#include <sscal.c>
#include <scopy.c>
#include <sswap.c>
#include <sdot.c>
#include <sdsdot.c>
#include <sasum.c>
#include <isamax.c>
#include <srot.c>
#include <sgemv.c>
#include <sger.c>
#include <sgemm.c>
#include <strsv.c>
#include <ssyrk.c>
#include <daxpy.c>
#include <dscal.c>
#include <ddot.c>
#include <dasum.c>
#include <idamax.c>
#include <drot.c>
#include <dgemv.c>
#include <dgemm.c>
#include <caxpy.c>
#include <cscal.c>
#include <cgemv.c>

#define SIMDE_NO_NATIVE
#include <simde/x86/avx2.h>

#include "support.h"

enum { N = 403, M = 37, K = 29, BLOCK = 32, BLOCKS = 64 };

static float x[2 * N], y[2 * N], a[N * N];
static double dx[N], dy[N], da[N * M];

void cblas_xerbla(int position, const char *routine, const char *form, ...)
{
    (void)position, (void)routine, (void)form;
    require(0);
}

static void fill(void)
{
    for (int k = 0; k < 2 * N; k++) {
        x[k] = random_float();
        y[k] = random_float();
    }
    for (int k = 0; k < N * N; k++)
        a[k] = random_float() + (k % (N + 1) == 0 ? 8.0f : 0.0f);
    for (int k = 0; k < N; k++) {
        dx[k] = random_float();
        dy[k] = random_float() * 3.0;
    }
    for (int k = 0; k < N * M; k++)
        da[k] = random_float() / 7.0;
}

static void single_precision(void)
{
    static float c[M * N];
    for (int step = 1; step <= 2; step++) {
        int n = N / step;
        cblas_saxpy(n, 1.25f, x, step, y, step);
        cblas_srot(n, x, step, y, step, 0.6f, 0.8f);
        cblas_sswap(n, x, step, y, step);
        cblas_sscal(n, 0.75f, x, step);
        float sums[] = {cblas_sdot(n, x, step, y, step), cblas_sasum(n, x, step), cblas_sdsdot(n, 2, x, step, y, step)};
        show("sums", digest(sums, sizeof sums) + cblas_isamax(n, y, step));
    }
    cblas_scopy(N, x, 1, c, 1);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, M, N, 0.5f, a, N, x, 1, 0.25f, y, 1);
    cblas_sgemv(CblasRowMajor, CblasTrans, M, N, 0.5f, a, N, y, 1, 0.25f, x, 1);
    cblas_sger(CblasRowMajor, M, N, 0.125f, y, 1, x, 1, a, N);
    cblas_strsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, 100, a, N, x, 1);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, K, N, 1, a, N, a, K, 0, c, K);
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, K, M, 0.5f, a, M, 1, c, K);
    show("x", digest(x, sizeof x));
    show("y", digest(y, sizeof y));
    show("a", digest(a, sizeof a));
    show("c", digest(c, sizeof c));
}

static void double_precision(void)
{
    static double c[M * M];
    cblas_daxpy(N, 1.25, dx, 1, dy, 1);
    cblas_drot(N, dx, 1, dy, 1, 0.6, -0.8);
    cblas_dscal(N, 0.75, dx, 1);
    double sums[] = {cblas_ddot(N, dx, 1, dy, 1), cblas_dasum(N, dx, 1), (double)cblas_idamax(N, dy, 1)};
    cblas_dgemv(CblasColMajor, CblasNoTrans, M, N, 0.5, da, M, dx, 1, 0.25, dy, 1);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, M, N, 1, da, N, da, N, 0, c, M);
    show("doubles", digest(sums, sizeof sums) + digest(dy, sizeof dy) + digest(c, sizeof c));
}

static void complex_numbers(void)
{
    float alpha[] = {0.5f, -1.5f}, beta[] = {0.25f, 1.0f};
    cblas_caxpy(N, alpha, x, 1, y, 1);
    cblas_cscal(N, beta, x, 1);
    cblas_cgemv(CblasRowMajor, CblasNoTrans, M, N / 2, alpha, a, N, x, 1, beta, y, 1);
    show("complex", digest(x, sizeof x) + digest(y, sizeof y));
}

static simde__m256i in[2][BLOCKS], out[BLOCK];

static void integers(int k)
{
    simde__m256i p = in[0][k], q = in[1][k];
    simde__m128i low = simde_mm256_castsi256_si128(p);
    int n = 0;
    out[n++] = simde_mm256_add_epi8(p, q);
    out[n++] = simde_mm256_sub_epi64(p, q);
    out[n++] = simde_mm256_adds_epi16(p, q);
    out[n++] = simde_mm256_subs_epu8(p, q);
    out[n++] = simde_mm256_avg_epu8(p, q);
    out[n++] = simde_mm256_mullo_epi16(p, q);
    out[n++] = simde_mm256_mulhi_epu16(p, q);
    out[n++] = simde_mm256_mulhrs_epi16(p, q);
    out[n++] = simde_mm256_mul_epi32(p, q);
    out[n++] = simde_mm256_madd_epi16(p, q);
    out[n++] = simde_mm256_maddubs_epi16(p, q);
    out[n++] = simde_mm256_sad_epu8(p, q);
    out[n++] = simde_mm256_min_epi32(p, q);
    out[n++] = simde_mm256_max_epu16(p, q);
    out[n++] = simde_mm256_cmpgt_epi8(p, q);
    out[n++] = simde_mm256_abs_epi32(p);
    out[n++] = simde_mm256_sign_epi16(p, q);
    out[n++] = simde_mm256_packs_epi32(p, q);
    out[n++] = simde_mm256_packus_epi16(p, q);
    out[n++] = simde_mm256_unpacklo_epi8(p, q);
    out[n++] = simde_mm256_cvtepi8_epi32(low);
    out[n++] = simde_mm256_cvtepu16_epi64(low);
    out[n++] = simde_mm256_sllv_epi32(p, q);
    out[n++] = simde_mm256_srav_epi32(p, q);
    out[n++] = simde_mm256_srli_epi16(p, 3);
    out[n++] = simde_mm256_slli_epi64(p, 9);
    out[n++] = simde_mm256_shuffle_epi8(p, q);
    out[n++] = simde_mm256_permutevar8x32_epi32(p, q);
    out[n++] = simde_mm256_blendv_epi8(p, q, out[0]);
    out[n++] = simde_mm256_hadd_epi16(p, q);
    out[n++] = simde_mm256_andnot_si256(p, q);
    out[n++] = simde_mm256_xor_si256(p, q);
    require(n == BLOCK);
}

int main(void)
{
    uint64_t sum = 0;
    for (int round = 0; round < SCALE; round++) {
        fill();
        single_precision();
        double_precision();
        complex_numbers();
        for (size_t k = 0; k < sizeof in; k++)
            ((unsigned char *)in)[k] = (unsigned char)(random32() >> 5);
        for (int k = 0; k < BLOCKS; k++) {
            integers(k);
            sum = sum * 31 + digest(out, sizeof out);
        }
        show("integers", sum);
    }
    return (int)(sum % 90);
}
