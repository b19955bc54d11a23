/* Sorts: picolibc's qsort, utlist's merge sort of lists, uthash's sort of a table. */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "support.h"

enum { COUNT = 4000 };

struct node {
    int key, order;
    struct node *prev, *next;
    UT_hash_handle hh;
};

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_float(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_key(struct node *a, struct node *b)
{
    return (a->key > b->key) - (a->key < b->key);
}

static int64_t numbers[COUNT];
static float floats[COUNT];
static char text[16 * COUNT];
static char *words[COUNT];
static struct node nodes[COUNT];

int main(void)
{
    int code = 0;
    for (int round = 0; round < SCALE; round++) {
        struct node *list = NULL, *single = NULL, *table = NULL, *at;
        random_text(text, sizeof text);
        for (int k = 0; k < COUNT; k++) {
            numbers[k] = (int64_t)random32() * (int32_t)random32();
            floats[k] = random_float() * (float)(1 << random32() % 30);
            words[k] = text + 16 * k;
            words[k][random32() % 16] = 0;
            words[k][15] = 0;
            nodes[k].key = (int)(random32() % 500);
            nodes[k].order = k;
        }
        qsort(numbers, COUNT, sizeof *numbers, by_value);
        qsort(floats, COUNT, sizeof *floats, by_float);
        qsort(words, COUNT, sizeof *words, by_text);
        for (int k = 1; k < COUNT; k++)
            require(numbers[k - 1] <= numbers[k] && floats[k - 1] <= floats[k] && strcmp(words[k - 1], words[k]) <= 0);
        show("numbers", digest(numbers, sizeof numbers));
        show("floats", digest(floats, sizeof floats));
        uint64_t sum = 0;
        for (int k = 0; k < COUNT; k++)
            sum = sum * 31 + digest(words[k], strlen(words[k]));
        show("words", sum);
        for (int k = 0; k < COUNT; k++)
            DL_APPEND(list, &nodes[k]);
        DL_SORT(list, by_key);
        sum = 0;
        DL_FOREACH(list, at)
        {
            sum = sum * 1000003 + (uint64_t)(at->key * COUNT + at->order);
            require(!at->next || at->key < at->next->key || (at->key == at->next->key && at->order < at->next->order));
        }
        show("list", sum);
        for (int k = 0; k < COUNT; k++)
            LL_PREPEND(single, &nodes[k]);
        LL_SORT(single, by_key);
        sum = 0;
        LL_FOREACH(single, at)
            sum = sum * 1000003 + (uint64_t)(at->key * COUNT + at->order);
        show("single", sum);
        for (int k = 0; k < COUNT; k++)
            HASH_ADD(hh, table, order, sizeof nodes[k].order, &nodes[k]);
        HASH_SRT(hh, table, by_key);
        sum = 0;
        for (at = table; at; at = at->hh.next)
            sum = sum * 1000003 + (uint64_t)(at->key * COUNT + at->order);
        show("table", sum);
        HASH_CLEAR(hh, table);
        code = (int)(sum % 90);
    }
    return code;
}
