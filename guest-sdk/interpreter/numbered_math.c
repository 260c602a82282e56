// Functions of one or two numbers, called by number. The engine calls them through pointers, each of which takes a place in the module's table,
// and a table of more than 512 places is more than one page: the kernel is then asked, after every invocation, which of its pages were written.
// Included by the patched engine, behind the functions and before the list that names them.

#define MATH_OF_ONE(X)                                                                                                              \
    X(fabs) X(floor) X(ceil) X(round) X(sqrt) X(acos) X(asin) X(atan) X(cos) X(exp) X(log) X(sin) X(tan) X(trunc) X(sign) X(cosh) X(sinh) X(tanh) \
    X(acosh) X(asinh) X(atanh) X(expm1) X(log1p) X(log2) X(log10) X(cbrt) X(f16round) X(fround)
#define MATH_OF_TWO(X) X(atan2) X(pow)

#define NUMBER(name) MATH_##name,
enum MathOfOne { MATH_OF_ONE(NUMBER) };
enum MathOfTwo { MATH_OF_TWO(NUMBER) };
#undef NUMBER

static double math_of_one(double (*number)(double), double x)
{
#define ENTRY(name)    \
    case MATH_##name: \
        return js_math_##name(x);
    switch ((enum MathOfOne)(uintptr_t)number) { MATH_OF_ONE(ENTRY) }
#undef ENTRY
    return NAN;
}

static double math_of_two(double (*number)(double, double), double x, double y)
{
#define ENTRY(name)    \
    case MATH_##name: \
        return js_math_##name(x, y);
    switch ((enum MathOfTwo)(uintptr_t)number) { MATH_OF_TWO(ENTRY) }
#undef ENTRY
    return NAN;
}
