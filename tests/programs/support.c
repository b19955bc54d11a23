/* Start, system calls and heap of a static program: the same under a Linux kernel, qemu and the machine. */
#include "support.h"

#include <errno.h>
#include <string.h>

int main(void);

static long system_call(long number, long a, long b, long c)
{
    register long a7 __asm__("a7") = number;
    register long a0 __asm__("a0") = a;
    register long a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a7), "r"(a1), "r"(a2) : "memory");
    return a0;
}

/* errno is the only thread-local variable: it lies behind tp. */
static uint64_t thread_area[16] __attribute__((used));

__attribute__((naked, used)) void _start(void)
{
    __asm__ volatile(".option push\n.option norelax\nla gp, __global_pointer$\n.option pop\n"
                     "la tp, thread_area\nandi sp, sp, -16\ncall start_main\n");
}

__attribute__((used)) void start_main(void)
{
    for (;;)
        system_call(93, main(), 0, 0);
}

void _exit(int code)
{
    for (;;)
        system_call(93, code, 0, 0);
}

static char heap[8 << 20];
static char *heap_end = heap;

void *sbrk(ptrdiff_t bytes)
{
    char *before = heap_end;
    if (before + bytes > heap + sizeof heap) {
        errno = ENOMEM;
        return (void *)-1;
    }
    heap_end += bytes;
    return before;
}

static uint64_t state = SEED * 0x9E3779B97F4A7C15u + 1;

uint32_t random32(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 21);
}

float random_float(void)
{
    return (float)(int32_t)random32() / 2147483648.0f;
}

void random_text(char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t run = 1 + random32() % 40;
        size_t back = at > 64 ? 1 + random32() % (at < 20000 ? at : 20000) : 0;
        int fresh = back == 0 || random32() % 3 == 0;
        for (; run-- && at < size; at++)
            text[at] = fresh ? (char)('a' + random32() % 26) : text[at - back];
    }
}

uint64_t digest(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint64_t h = 14695981039346656037u;
    for (size_t k = 0; k < size; k++)
        h = (h ^ p[k]) * 1099511628211u;
    return h;
}

void show(const char *name, uint64_t value)
{
    char line[80];
    size_t at = strlen(name);
    memcpy(line, name, at);
    line[at++] = ' ';
    for (int shift = 60; shift >= 0; shift -= 4)
        line[at++] = "0123456789abcdef"[value >> shift & 15];
    line[at++] = '\n';
    system_call(64, 1, (long)line, (long)at);
}

void require(int holds)
{
    if (!holds)
        _exit(99);
}
