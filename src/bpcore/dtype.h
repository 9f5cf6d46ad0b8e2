/* One item type: `real` and the constants that belong to it.
 *
 * In:  REAL_BYTES, 4 or 8.  R(x) is a literal of type real; REAL_TYPE says which that is,
 * other_real is the other item type.
 * EXP_UNDERFLOW: exp of it rounds to 0.  LN2_HIGH: leading bits of ln 2, few enough that a
 * product with any exponent is exact; LN2_LOW the rest (the double split is fdlibm's).
 */
typedef float single; /* IEEE 754's binary32, whatever real is */
#if REAL_BYTES == 4
typedef float real;
typedef double other_real;
#define REAL_TYPE BP_FLOAT32
typedef int32_t lane_int;
#define R(x) x##f
#define SQUARE_ROOT sqrtf
#define MULTIPLY_ADD fmaf
#define MANTISSA_BITS 23
#define FRACTION_MASK 0x7fffff
#define ROUND_SHIFTER 12582912.0f /* 3 2^22 */
#define LARGEST 3.40282347e+38f
#define EXP_UNDERFLOW -104.0f
#define LN2_HIGH 0.693145751953125f
#define LN2_LOW 1.4286068e-06f
#define EXP_TAYLOR 1 / 2.0f, 1 / 6.0f, 1 / 24.0f, 1 / 120.0f, 1 / 720.0f, 1 / 5040.0f
#define EXP_TERMS 6
#define ATANH_SERIES                                                                           \
    1, 1 / 3.0f, 1 / 5.0f, 1 / 7.0f, 1 / 9.0f, 1 / 11.0f, 1 / 13.0f, 1 / 15.0f
#define ATANH_TERMS 8
#else
typedef double real;
typedef float other_real;
#define REAL_TYPE BP_FLOAT64
typedef int64_t lane_int;
#define R(x) x
#define SQUARE_ROOT sqrt
#define MULTIPLY_ADD fma
#define MANTISSA_BITS 52
#define FRACTION_MASK 0xfffffffffffff
#define ROUND_SHIFTER 6755399441055744.0 /* 3 2^51 */
#define LARGEST 1.7976931348623157e+308
#define EXP_UNDERFLOW -746.0
#define LN2_HIGH 6.93147180369123816490e-1
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_TAYLOR                                                                             \
    1 / 2.0, 1 / 6.0, 1 / 24.0, 1 / 120.0, 1 / 720.0, 1 / 5040.0, 1 / 40320.0, 1 / 362880.0,   \
        1 / 3628800.0, 1 / 39916800.0, 1 / 479001600.0, 1 / 6227020800.0
#define EXP_TERMS 12
#define ATANH_SERIES                                                                           \
    1, 1 / 3.0, 1 / 5.0, 1 / 7.0, 1 / 9.0, 1 / 11.0, 1 / 13.0, 1 / 15.0, 1 / 17.0, 1 / 19.0,   \
        1 / 21.0, 1 / 23.0, 1 / 25.0, 1 / 27.0, 1 / 29.0, 1 / 31.0
#define ATANH_TERMS 16
#endif
#define MOST_TERMS 16
#define TWO_64 R(18446744073709551616.0)
