/* Compressors: LZ4, and deflate of stb_image_write read back by stb_image's inflate. */
#include <lz4.c>

#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_NO_THREAD_LOCALS
#define STBI_ASSERT(x) require(x)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ASSERT(x) require(x)
#include "support.h"

#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

enum { BYTES = 60000, LESS = 16000 };

static char text[BYTES], packed[LZ4_COMPRESSBOUND(BYTES)], unpacked[BYTES];

int main(void)
{
    int code = 0;
    for (int round = 0; round < SCALE; round++) {
        random_text(text, BYTES);
        for (int effort = 1; effort <= 9; effort += 4) {
            int size = LZ4_compress_fast(text, packed, BYTES, (int)sizeof packed, effort);
            require(size > 0 && size < BYTES);
            show("lz4", digest(packed, (size_t)size));
            require(LZ4_decompress_safe(packed, unpacked, size, BYTES) == BYTES);
            require(memcmp(text, unpacked, BYTES) == 0);
            require(LZ4_decompress_safe(packed, unpacked, size - 1, BYTES) < BYTES);
        }
        int length = 0, back = 0;
        unsigned char *stream = stbi_zlib_compress((unsigned char *)text, LESS, &length, 8);
        show("deflate", digest(stream, (size_t)length));
        char *plain = stbi_zlib_decode_malloc((char *)stream, length, &back);
        require(plain && back == LESS && memcmp(plain, text, LESS) == 0);
        int width = 50, height = 60;
        unsigned char *image = stbi_write_png_to_mem((unsigned char *)text, 4 * width, width, height, 4, &length);
        show("png", digest(image, (size_t)length));
        int w, h, n;
        unsigned char *pixels = stbi_load_from_memory(image, length, &w, &h, &n, 4);
        require(pixels && w == width && h == height && memcmp(pixels, text, (size_t)(4 * w * h)) == 0);
        code = length % 90;
        STBIW_FREE(stream);
        STBI_FREE(plain);
        STBIW_FREE(image);
        STBI_FREE(pixels);
    }
    return code;
}
