/* A JPEG made by stb_image_write's float DCT and read back by stb_image's integer one, resized, and as a DXT block. */
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_NO_THREAD_LOCALS
#define STBI_ASSERT(x) require(x)
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_ASSERT(x) require(x)
#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STBIR_ASSERT(x) require(x)
#define STB_DXT_IMPLEMENTATION
#define STB_PERLIN_IMPLEMENTATION
#include "support.h"

#include <stdlib.h>
#include <stb/stb_dxt.h>
#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#include <stb/stb_image_write.h>
#include <stb/stb_perlin.h>

enum { WIDTH = 96, HEIGHT = 80 };

static unsigned char picture[HEIGHT][WIDTH][3], file[1 << 16], small[40][56][3], block[16], texels[64];
static int written;

static void keep(void *context, void *data, int size)
{
    (void)context;
    require(written + size <= (int)sizeof file);
    memcpy(file + written, data, (size_t)size);
    written += size;
}

int main(void)
{
    int code = 0;
    for (int round = 0; round < SCALE; round++) {
        float offset = random_float() * 100;
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                for (int c = 0; c < 3; c++) {
                    float v = stb_perlin_fbm_noise3((float)x / 16, (float)y / 16, offset + (float)c, 2.0f, 0.5f, 4);
                    picture[y][x][c] = (unsigned char)(128 + 120 * (v > 1 ? 1 : v < -1 ? -1 : v));
                }
        show("noise", digest(picture, sizeof picture));
        written = 0;
        require(stbi_write_jpg_to_func(keep, NULL, WIDTH, HEIGHT, 3, picture, 85));
        show("jpeg", digest(file, (size_t)written));
        int w, h, n;
        unsigned char *back = stbi_load_from_memory(file, written, &w, &h, &n, 3);
        require(back && w == WIDTH && h == HEIGHT);
        show("decoded", digest(back, (size_t)(3 * w * h)));
        require(stbir_resize_uint8(back, w, h, 0, small[0][0], 56, 40, 0, 3));
        show("resized", digest(small, sizeof small));
        for (int k = 0; k < 64; k++)
            texels[k] = back[k * 37 % (3 * w * h)];
        stb_compress_dxt_block(block, texels, 1, STB_DXT_HIGHQUAL);
        show("dxt", digest(block, sizeof block));
        code = block[3] % 90;
        STBI_FREE(back);
    }
    return code;
}
