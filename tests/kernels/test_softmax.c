/* Softmax, loss and moments of rows against their twins. */
#include "kernels/kernel_testing.h"

/* Every length of a path of the kernels, and one less and one more. */
static const int lengths[] = {1,    2,    3,    5,    31,   129,  511,  512,  513,  1023, 1024,
                              1025, 1492, 1535, 1536, 1537, 2048, 2049, 4095, 4096, 4097, 5003};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* Rows that are as wide as needed, padded to packs, or padded by more. */
static int width_of(int classes, int kind)
{
    return kind == 0 ? classes : kind == 1 ? (classes + 3) / 4 * 4 : (classes + 15) / 16 * 16 + 16;
}

/* Products and bias are multiples of 1/8, so that ties occur and sums are exact. */
static float *products(int rows, int classes, int width)
{
    float *x = host_new((size_t)rows * (size_t)width, sizeof *x);
    memset(x, 0xff, (size_t)rows * (size_t)width * sizeof *x); /* the padding is not to be read */
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < classes; n++)
            x[(size_t)r * (size_t)width + (size_t)n] = (float)((int)random_below(81) - 40) / 8;
    return x;
}

static float *biases(int classes)
{
    float *bias = random_integers((size_t)classes, SG_OPERAND_FLOAT, 4);
    for (int n = 0; n < classes; n++)
        bias[n] /= 8;
    return bias;
}

/* ---- training ---- */

typedef struct {
    output *outputs, *gradient, *loss, *argmax;
} loss_outputs;

static loss_outputs run_loss(int heads, int classes, int width, bool bf16, const float *x, const float *bias)
{
    size_t k = (size_t)heads, bytes = k * (size_t)width * 4;
    loss_outputs o = {output_new(bytes, x), bf16 ? output_new(bytes / 2, NULL) : NULL, doubles_new(k),
                      output_new(k * 4, NULL)};
    int32_t *label = host_new(k, sizeof *label);
    float *weight = host_new(k, sizeof *weight);
    for (int i = 0; i < heads; i++) {
        label[i] = (int32_t)random_below((uint32_t)classes);
        weight[i] = (float)random_below(5) + 1;
    }
    sg_softmax_loss a = {.heads = heads, .classes = classes, .width = width, .scale = 1.0f / 933}, b = a;
    a.label = label;
    a.weight = weight;
    a.bias = bias;
    b.label = input(label, k * 4);
    b.weight = input(weight, k * 4);
    b.bias = input(bias, (size_t)classes * 4);
    a.outputs = o.outputs->host;
    b.outputs = o.outputs->device;
    a.gradient = bf16 ? o.gradient->host : NULL;
    b.gradient = bf16 ? o.gradient->device : NULL;
    a.loss = o.loss->host;
    b.loss = o.loss->device;
    a.argmax = o.argmax->host;
    b.argmax = o.argmax->device;
    run(sg_kernel_softmax_loss(&b, NULL), sg_twin_softmax_loss(&a));
    return o;
}

static void check_loss(int heads, int classes, int width, bool bf16)
{
    loss_outputs o = run_loss(heads, classes, width, bf16, products(heads, classes, width), biases(classes));
    assert_near(o.outputs, SG_OPERAND_FLOAT, 2e-6);
    if (bf16)
        assert_near(o.gradient, SG_OPERAND_BF16, 2e-6);
    assert_near_doubles(o.loss, 1e-6);
    assert_bits(o.argmax);
}

static void test_loss(void **state)
{
    (void)state;
    for (int i = 0; i < LENGTHS; i++) {
        begin();
        for (int kind = 0; kind < 3; kind++)
            check_loss(kind == 0 ? 3 : 2, lengths[i], width_of(lengths[i], kind), (i + kind) % 2);
        check_loss(1, lengths[i], width_of(lengths[i], 1), true);
        check_loss(0, lengths[i], width_of(lengths[i], 1), true);
        misalign(true);
        check_loss(2, lengths[i], width_of(lengths[i], 1), false);
        end(NULL);
    }
}

/* A row with NaN or infinities ends, and says so by its loss; its neighbour is untouched. */
static void test_loss_not_finite(void **state)
{
    static const float bad[] = {NAN, INFINITY};
    static const int classes[] = {7, 600, 1492, 5003};
    (void)state;
    for (int i = 0; i < 8; i++) {
        begin();
        int n = classes[i / 2], width = width_of(n, 1);
        float *x = products(3, n, width);
        x[width + (int)random_below((uint32_t)n)] = bad[i % 2];
        for (int u = 0; u < n; u++)
            x[2 * width + u] = NAN;
        loss_outputs o = run_loss(3, n, width, false, x, biases(n));
        const double *loss = o.loss->result;
        const int32_t *argmax = o.argmax->result;
        assert_true(isfinite(loss[0]));
        assert_false(isfinite(loss[1]));
        assert_false(isfinite(loss[2]));
        for (int k = 0; k < 3; k++)
            assert_true(argmax[k] >= 0 && argmax[k] < n);
        assert_bits(o.argmax);
        end(NULL);
    }
}

/* ---- inference ---- */

static void check_rows(int rows, int classes, int width)
{
    size_t r = (size_t)rows, n = (size_t)classes, w = (size_t)width;
    float *x = products(rows, classes, width), *bias = biases(classes);
    output *p = output_new(r * w * 4, x), *argmax = output_new(r * 4, NULL), *p_max = output_new(r * 4, NULL);
    sg_softmax_rows a = {rows, classes, width, bias, p->host, argmax->host, p_max->host};
    sg_softmax_rows b = {rows, classes, width, input(bias, n * 4), p->device, argmax->device, p_max->device};
    run(sg_kernel_softmax_rows(&b, NULL), sg_twin_softmax_rows(&a));
    assert_near(p, SG_OPERAND_FLOAT, 2e-6);
    assert_bits(argmax);
    for (size_t k = 0; k < r; k++) {
        const float *row = (const float *)p->result + k * w;
        float top = ((const float *)p_max->result)[k];
        double sum = 0;
        assert_memory_equal(&top, &row[((const int32_t *)argmax->result)[k]], sizeof top);
        for (size_t u = 0; u < w; u++) {
            assert_true(u < n ? row[u] >= 0 && row[u] <= top : row[u] == 0);
            sum += (double)row[u];
        }
        assert_true(fabs(sum - 1) < 1e-5);
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (int i = 0; i < LENGTHS; i++) {
        begin();
        for (int kind = 0; kind < 3; kind++)
            check_rows(kind == 0 ? 3 : 2, lengths[i], width_of(lengths[i], kind));
        check_rows(1, lengths[i], width_of(lengths[i], 1));
        check_rows(0, lengths[i], width_of(lengths[i], 1));
        misalign(true);
        check_rows(2, lengths[i], width_of(lengths[i], 1));
        end(NULL);
    }
}

/* Of equal outputs the first counts, wherever they stand. */
static void test_ties(void **state)
{
    static const int classes[] = {9, 700, 1492, 4096, 5000};
    (void)state;
    for (int i = 0; i < 5; i++) {
        begin();
        enum { ROWS = 6 };
        int n = classes[i], width = width_of(n, 1), first[ROWS];
        float *x = host_new((size_t)(ROWS * width), sizeof *x), *bias = host_new((size_t)n, sizeof *bias);
        for (int r = 0; r < ROWS; r++) {
            first[r] = r == 0 ? 0 : (int)random_below((uint32_t)n);
            for (int k = 0; k < 5; k++)
                x[r * width + first[r] + (int)random_below((uint32_t)(n - first[r]))] = r == 0 ? 0 : 2;
            x[r * width + first[r]] = r == 0 ? 0 : 2;
        }
        output *p = output_new((size_t)(ROWS * width) * 4, x);
        output *argmax = output_new(ROWS * 4, NULL), *p_max = output_new(ROWS * 4, NULL);
        sg_softmax_rows b = {ROWS,         n, width, input(bias, (size_t)n * 4), p->device, argmax->device,
                             p_max->device};
        run(sg_kernel_softmax_rows(&b, NULL), (void)0);
        for (int r = 0; r < ROWS; r++)
            assert_int_equal(((const int32_t *)argmax->result)[r], first[r]);
        end(NULL);
    }
}

/* ---- moments ---- */

/* Rows like those of a network: one-hot, nearly so, flat, and in between. */
static float *probabilities(int rows, int classes, int width)
{
    float *p = host_new((size_t)rows * (size_t)width, sizeof *p);
    for (int r = 0; r < rows; r++) {
        float *row = p + (size_t)r * (size_t)width, sum = 0;
        float spread = (float)(r % 4) * 12;
        for (int n = 0; n < classes; n++)
            sum += row[n] = expf(random_float(0, spread));
        for (int n = 0; n < width; n++)
            row[n] = n < classes ? row[n] / sum : NAN; /* the padding is not to be read */
        if (r % 5 == 4)
            for (int n = 0; n < classes; n++)
                row[n] = n == r % classes;
    }
    return p;
}

static void check_moments(int rows, int classes, int width)
{
    size_t r = (size_t)rows;
    float *p = probabilities(rows, classes, width);
    output *skewness = doubles_new(r), *kurtosis = doubles_new(r);
    run(sg_kernel_moments(rows, classes, width, input(p, r * (size_t)width * 4), skewness->device,
                          kurtosis->device, NULL),
        sg_twin_moments(rows, classes, width, p, skewness->host, kurtosis->host));
    /* A flat row: what is left of its moments is rounding, and may differ. */
    for (size_t k = 0; k < r; k++) {
        if (k % 4 == 0 && k % 5 != 4) {
            double *s = skewness->result, *t = skewness->host, *u = kurtosis->result, *v = kurtosis->host;
            assert_true(isfinite(s[k]) && isfinite(u[k]));
            s[k] = t[k];
            u[k] = v[k];
        }
    }
    assert_near_doubles(skewness, 1e-10);
    assert_near_doubles(kurtosis, 1e-10);
}

static void test_moments(void **state)
{
    (void)state;
    for (int i = 3; i < LENGTHS; i++) {
        begin();
        for (int kind = 0; kind < 3; kind++)
            check_moments(5 + kind, lengths[i], width_of(lengths[i], kind));
        check_moments(1, lengths[i], width_of(lengths[i], 1));
        check_moments(0, lengths[i], width_of(lengths[i], 1));
        misalign(true);
        check_moments(2, lengths[i], width_of(lengths[i], 1));
        end(NULL);
    }
}

/* One-hot rows have moments of 1, constant rows of 0. */
static void test_known_moments(void **state)
{
    (void)state;
    begin();
    enum { CLASSES = 1492, ROWS = 3 };
    float *p = host_new(ROWS * CLASSES, sizeof *p);
    p[17] = p[CLASSES + 1491] = 1;
    for (int n = 0; n < CLASSES; n++)
        p[2 * CLASSES + n] = 0x1p-11f;
    output *skewness = doubles_new(ROWS), *kurtosis = doubles_new(ROWS);
    run(sg_kernel_moments(ROWS, CLASSES, CLASSES, input(p, ROWS * CLASSES * 4), skewness->device,
                          kurtosis->device, NULL),
        (void)0);
    for (int r = 0; r < ROWS; r++) {
        assert_true(fabs(((const double *)skewness->result)[r] - (r < 2)) < 1e-12);
        assert_true(fabs(((const double *)kurtosis->result)[r] - (r < 2)) < 1e-12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        kernel_test(test_loss), kernel_test(test_loss_not_finite), kernel_test(test_rows),
        kernel_test(test_ties), kernel_test(test_moments),         kernel_test(test_known_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
