/* Images moved a little, each in its own way: rotated, scaled, sheared, shifted and bent.
 *
 * A pixel of the result is the image at another place, bilinear between four pixels, zero
 * outside.  No sum is fused and each is in one order, so that all engines give the same bits.
 */

/* Random numbers by a counter (Steele, Lea and Flood's SplitMix64): what is drawn of an image
 * depends on the seed and its number alone, whoever draws it. */
#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

INLINED uint64_t mixed(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Draw `i` in (-1, 1), symmetric: an odd number of 23 bits, exact in either dtype. */
INLINED real drawn(uint64_t image, ptrdiff_t i)
{
    const int32_t odd = (int32_t)(mixed(image + GOLDEN * (uint64_t)(i + 1)) >> 41) | 1;
    return (real)(odd - (1 << 22)) * R(2.384185791015625e-7); /* 2^-22 */
}

/* The draws of an image: of its affine map, then x and y of each knot. */
enum { ROTATED, WIDENED, HEIGHTENED, SHEARED, MOVED_ACROSS, MOVED_DOWN, KNOTS_MOVED };

/* Where a pixel of the result comes from, both being counted from the middle: x = xx u + xy v
 * + x0, and so on. */
typedef struct {
    real xx, xy, x0, yx, yy, y0;
} affine;

INLINED affine drawn_map(const bp_distortion *d, uint64_t image)
{
    const real one = R(1.0), half = (real)d->half_rotation * drawn(image, ROTATED);
    const real whole = one + half * half; /* of t = tan(angle / 2) both are rational */
    const real cosine = (one - half * half) / whole, sine = (half + half) / whole;
    const real across = one / (one + (real)d->scale * drawn(image, WIDENED));
    const real down = one / (one + (real)d->scale * drawn(image, HEIGHTENED));
    const real slant = (real)d->shear * drawn(image, SHEARED);
    affine map;
    map.xx = across * cosine + slant * sine;
    map.xy = slant * cosine - across * sine;
    map.x0 = (real)d->shift * drawn(image, MOVED_ACROSS);
    map.yx = down * sine;
    map.yy = down * cosine;
    map.y0 = (real)d->shift * drawn(image, MOVED_DOWN);
    return map;
}

/* out (width) = the sum of four rows from `rows` on, each times its weight. */
INLINED void blend_rows(ptrdiff_t width, const real *weights, const real *rows,
                        real *restrict out)
{
    const real a = weights[0], b = weights[1], c = weights[2], d = weights[3];
    for (ptrdiff_t j = 0; j < width; j++)
        out[j] = a * rows[j] + b * rows[j + width] + c * rows[j + 2 * width]
                 + d * rows[j + 3 * width];
}

/* rows[2] (knots_down, width): the displacements x and y on lines through the knots. */
static void draw_displacements(const bp_distortion *d, uint64_t image, real *knots,
                               real *const *rows)
{
    for (ptrdiff_t k = 0; k < d->knots_down; k++)
        for (int axis = 0; axis < 2; axis++) {
            for (ptrdiff_t l = 0; l < d->knots_across; l++)
                knots[l] = (real)d->displacement
                           * drawn(image, KNOTS_MOVED + 2 * (k * d->knots_across + l) + axis);
            for (ptrdiff_t j = 0; j < d->width; j++) {
                const real *four = knots + d->across_first[j];
                const real *weights = (const real *)d->across + 4 * j;
                rows[axis][k * d->width + j] = weights[0] * four[0] + weights[1] * four[1]
                                               + weights[2] * four[2] + weights[3] * four[3];
            }
        }
}

/* v, but in [0, most]; 0 where v is NaN. */
INLINED real clipped(real v, real most)
{
    const real low = v > R(0.0) ? v : R(0.0);
    return low < most ? low : most;
}

/* A row of the result; x and y hold its displacements. */
INLINED void sample_row(ptrdiff_t height, ptrdiff_t width, const affine *map, ptrdiff_t i,
                        const real *padded, real *restrict x, real *restrict y,
                        int32_t *restrict places, real *restrict out)
{
    const real middle_x = (real)(width - 1) * R(0.5), middle_y = (real)(height - 1) * R(0.5);
    const real v = (real)i - middle_y, x0 = map->xy * v + (map->x0 + middle_x + R(1.0)),
               y0 = map->yy * v + (map->y0 + middle_y + R(1.0));
    const real right = (real)(width + 1), bottom = (real)(height + 1);
    const int32_t row = (int32_t)width + 3;
    for (int32_t j = 0; j < (int32_t)width; j++) {
        const real u = (real)j - middle_x;
        const real at_x = clipped(x[j] + (map->xx * u + x0), right);
        const real at_y = clipped(y[j] + (map->yx * u + y0), bottom);
        const int32_t column = (int32_t)at_x, line = (int32_t)at_y;
        places[j] = line * row + column;
        x[j] = at_x - (real)column;
        y[j] = at_y - (real)line;
    }
    for (ptrdiff_t j = 0; j < width; j++) {
        const real *above = padded + places[j], *below = above + row;
        const real left_x = R(1.0) - x[j], up = R(1.0) - y[j];
        out[j] = up * (left_x * above[0] + x[j] * above[1])
                 + y[j] * (left_x * below[0] + x[j] * below[1]);
    }
}

/* The images [begin, end) of in (n, height, width) to out; image i is of number first + i. */
static void distort(const bp_distortion *d, ptrdiff_t begin, ptrdiff_t end, const void *in,
                    void *out, void *scratch)
{
    const ptrdiff_t height = d->height, width = d->width, pixels = height * width;
    const ptrdiff_t row = width + 3;
    real *padded = scratch, *knots = padded + (height + 3) * row, *x = knots + d->knots_across,
         *y = x + width;
    real *const rows[2] = {y + width, y + width + d->knots_down * width};
    int32_t *places = (int32_t *)(rows[1] + d->knots_down * width);
    const real *down = d->down;
    memset(padded, 0, (size_t)((height + 3) * row) * sizeof(real));
    for (ptrdiff_t image = begin; image < end; image++) {
        const real *from = (const real *)in + image * pixels;
        real *to = (real *)out + image * pixels;
        const uint64_t own = mixed(d->seed + GOLDEN * (uint64_t)(d->first + image + 1));
        const affine map = drawn_map(d, own);
        draw_displacements(d, own, knots, rows);
        copy_rows(height, width, from, width, padded + row + 1, row);
        for (ptrdiff_t i = 0; i < height; i++) {
            blend_rows(width, down + 4 * i, rows[0] + d->down_first[i] * width, x);
            blend_rows(width, down + 4 * i, rows[1] + d->down_first[i] * width, y);
            sample_row(height, width, &map, i, padded, x, y, places, to + i * width);
        }
    }
}
