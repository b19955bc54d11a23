/* Hashes: xxHash (32, 64, 3) over all lengths, and a uthash table that grows and shrinks. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <uthash.h>

#include "support.h"

enum { BYTES = 40000, KEYS = 3000 };

struct entry {
    uint32_t key, count;
    UT_hash_handle hh;
};

int main(void)
{
    static char text[BYTES];
    random_text(text, BYTES);
    uint64_t sum = 0;
    for (size_t size = 0; size < 600; size += 1 + size / 16) {
        sum = sum * 31 + XXH32(text + size % 7, size, (uint32_t)sum);
        sum = sum * 31 + XXH64(text + size % 5, size, sum);
        sum = sum * 31 + XXH3_64bits(text + size % 3, size);
        sum = sum * 31 + XXH3_128bits(text, size).high64;
    }
    show("short", sum);
    for (int k = 0; k < 10 * SCALE; k++) {
        show("xxh32", XXH32(text, BYTES, (uint32_t)k));
        show("xxh64", XXH64(text, BYTES, (uint64_t)k));
        show("xxh3", XXH3_64bits_withSeed(text, BYTES, (uint64_t)k));
        text[k * 31 % BYTES]++;
    }
    struct entry *table = NULL, *found, *next;
    for (int k = 0; k < KEYS * 8 * SCALE; k++) {
        uint32_t key = random32() % KEYS;
        HASH_FIND(hh, table, &key, sizeof key, found);
        if (!found) {
            found = calloc(1, sizeof *found);
            require(found != NULL);
            found->key = key;
            HASH_ADD(hh, table, key, sizeof found->key, found);
        } else if (random32() % 5 == 0) {
            HASH_DEL(table, found);
            free(found);
            continue;
        }
        found->count++;
    }
    show("entries", HASH_COUNT(table));
    sum = 0;
    HASH_ITER(hh, table, found, next)
    {
        sum = sum * 1000003 + found->key * 7 + found->count;
    }
    show("table", sum);
    return (int)(sum % 90);
}
