/* What the programs share: input from a seed, and results as text. No other C library than picolibc is needed. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#ifndef SEED
#define SEED 1
#endif
#ifndef SCALE
#define SCALE 1
#endif

/* The next of a sequence of numbers that depends on SEED only. */
uint32_t random32(void);

/* A float in [-1, 1). */
float random_float(void);

/* Text of `size` bytes with repeats in it, as compressors like it. */
void random_text(char *text, size_t size);

/* FNV-1a over the bytes. */
uint64_t digest(const void *data, size_t size);

/* Print `name value` as a line. */
void show(const char *name, uint64_t value);

/* End with an exit code when something that must hold does not. */
void require(int holds);

#endif
