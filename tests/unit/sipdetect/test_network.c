/* The detector library's network, at every level and precision of this machine, against plain double loops.
 */
#include "testing.h"

/* AMX, whose instructions few processors have, runs here emulated. */
#define SD_AMX_EMULATED
#define sd_kernels_amx_fp32 emulated_amx_fp32
#define sd_kernels_amx_bf16 emulated_amx_bf16
#define sd_kernels_amx_int8 emulated_amx_int8
#include "sipdetect/kernels_amx.c"
#undef sd_kernels_amx_fp32
#undef sd_kernels_amx_bf16
#undef sd_kernels_amx_int8

#include "engine/reference_case.h"
#include "sipdetect/network_fixture.h"

/* ---- allocations are counted ---- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
#define COUNTS_ALLOCATIONS
static size_t allocations;
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
    allocations++;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations++;
    return __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    allocations++;
    return __libc_realloc(old, bytes);
}
#endif

/* ---- levels ---- */

enum { KERNELS_MOST = 32 };

/* All that this machine can run, the emulated AMX last. */
static int kernels_of(sd_precision precision, const sd_kernels *found[KERNELS_MOST])
{
    const sd_kernels *k, *emulated[] = {&emulated_amx_fp32, &emulated_amx_bf16, &emulated_amx_int8};
    bool usable;
    int count = 0;
    for (int i = 0; (k = sd_kernels_at(i, &usable)) != NULL; i++)
        if (usable && k->precision == precision)
            found[count++] = k;
#if defined(__x86_64__) /* elsewhere the compiler may contract what is compiled with the test */
    found[count++] = emulated[precision];
#endif
    return count;
}

/* ---- sequences ---- */

enum { ROWS = 41, GUARD = 256 };

typedef struct {
    int count, length;
    uint16_t *types, lengths[ROWS];
} sequences;

/* Random ones that share beginnings, lengths 1 and L among them; the last equals the first. */
static sequences make_sequences(int length, int types)
{
    sequences s = {.count = ROWS, .length = length, .types = aligned_zeros(ROWS * (size_t)length * 2)};
    sg_random r = sg_random_open(3, SG_RANDOM_BENCH, (uint32_t)length);
    for (int i = 0; i < ROWS; i++) {
        uint16_t *row = s.types + i * length;
        s.lengths[i] = (uint16_t)(i == 0   ? length
                                  : i == 1 ? 1
                                           : 1 + (int)sg_random_below(&r, (uint32_t)length));
        int shared = i > 2 ? (int)sg_random_below(&r, (uint32_t)length + 1) : 0;
        const uint16_t *like = s.types + (i > 2 ? (int)sg_random_below(&r, (uint32_t)i) : 0) * length;
        for (int t = 0; t < length; t++)
            row[t] = t < shared && like[t] ? like[t] : (uint16_t)(1 + sg_random_below(&r, (uint32_t)types));
    }
    memcpy(s.types + (ROWS - 1) * length, s.types, (size_t)length * 2);
    s.lengths[ROWS - 1] = s.lengths[0];
    return s;
}

static uint16_t padded_type(const sequences *s, int i, int t, sd_padding padding)
{
    int first = padding == SD_PAD_PRE ? s->length - s->lengths[i] : 0;
    return t >= first && t < first + s->lengths[i] ? s->types[i * s->length + t - first] : 0;
}

/* ---- the reference ---- */

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static double round_weight(sd_precision precision, double w, double column_most)
{
    if (precision == SD_BF16)
        return (double)sg_float_from_bf16(sg_bf16_from_float((float)w));
    if (precision == SD_INT8 && column_most > 0)
        return rint(w / (column_most / 127)) * (column_most / 127);
    return w;
}

/* Weights [rows, columns] as a precision has them. */
static double *rounded_weights(sd_precision precision, const float *w, int rows, int columns)
{
    double *to = calloc((size_t)rows * (size_t)columns, sizeof *to);
    for (int c = 0; c < columns; c++) {
        double most = 0;
        for (int k = 0; k < rows; k++)
            most = fmax(most, fabs((double)w[k * columns + c]));
        for (int k = 0; k < rows; k++)
            to[k * columns + c] = round_weight(precision, (double)w[k * columns + c], most);
    }
    return to;
}

typedef struct {
    const plain_network *plain;
    sd_precision precision; /* rounds weights and h; SD_FP32: nothing */
    double *kernel, *recurrent[SD_LAYERS_MAX], *dense;
} reference;

static reference reference_of(const plain_network *p, sd_precision precision)
{
    reference r = {.plain = p, .precision = precision};
    for (int l = 0; l < p->layers; l++)
        r.recurrent[l] = rounded_weights(precision, p->recurrent[l], p->units, 4 * p->units);
    r.kernel = p->layers > 1 ? rounded_weights(precision, p->kernel[1], p->units, 4 * p->units) : NULL;
    r.dense = rounded_weights(precision, p->dense, p->units, p->classes);
    return r;
}

static void reference_free(reference *r)
{
    free(r->kernel);
    free(r->recurrent[0]);
    free(r->recurrent[1]);
    free(r->dense);
}

typedef struct {
    double h, c, sent, error[3];
} unit_state;

static void send_unit(sd_precision precision, unit_state *u)
{
    u->sent = u->h;
    if (precision == SD_BF16)
        u->sent = (double)sg_float_from_bf16(sg_bf16_from_float((float)u->h));
    if (precision == SD_INT8) {
        double x = 123 * u->h + 3 * u->error[0] - 3 * u->error[1] + u->error[2], q = rint(x);
        u->error[2] = u->error[1];
        u->error[1] = u->error[0];
        u->error[0] = x - q;
        u->sent = q / 123;
    }
}

/* One layer's step: x is what the layer below sends (or NULL), token what comes in (or 0). */
static void reference_step(const reference *r, int layer, int token, const unit_state *below,
                           unit_state *state)
{
    const plain_network *p = r->plain;
    int h = p->units;
    double *z = calloc((size_t)h * 4, sizeof *z);
    for (int c = 0; c < 4 * h; c++) {
        z[c] = (double)p->bias[layer][c];
        if (token)
            z[c] += (double)p->kernel[0][(token - 1) * 4 * h + c];
        for (int k = 0; k < h; k++) {
            z[c] += state[k].sent * r->recurrent[layer][k * 4 * h + c];
            z[c] += below ? below[k].sent * r->kernel[k * 4 * h + c] : 0;
        }
    }
    for (int u = 0; u < h; u++) {
        state[u].c = logistic(z[h + u]) * state[u].c + logistic(z[u]) * tanh(z[2 * h + u]);
        state[u].h = logistic(z[3 * h + u]) * tanh(state[u].c);
        send_unit(r->precision, &state[u]);
    }
    free(z);
}

/* Softmax outputs of sequence i, [N]. */
static void reference_outputs(const reference *r, const sequences *s, int i, double *out)
{
    const plain_network *p = r->plain;
    unit_state *state[2] = {calloc((size_t)p->units, sizeof(unit_state)),
                            calloc((size_t)p->units, sizeof(unit_state))};
    int steps = p->padding == SD_PAD_MASK ? s->lengths[i] : p->length;
    for (int t = 0; t < steps; t++) {
        reference_step(r, 0, padded_type(s, i, t, p->padding), NULL, state[0]);
        if (p->layers > 1)
            reference_step(r, 1, 0, state[0], state[1]);
    }
    const unit_state *last = state[p->layers - 1];
    double sum = 0, most = -INFINITY;
    for (int n = 0; n < p->classes; n++) {
        out[n] = (double)p->dense_bias[n];
        for (int u = 0; u < p->units; u++)
            out[n] += (r->precision == SD_BF16 ? last[u].sent : last[u].h) * r->dense[u * p->classes + n];
        most = fmax(most, out[n]);
    }
    for (int n = 0; n < p->classes; n++)
        sum += out[n] = exp(out[n] - most);
    for (int n = 0; n < p->classes; n++)
        out[n] /= sum;
    free(state[0]);
    free(state[1]);
}

/* ---- running the library's ---- */

typedef struct {
    float *p; /* [ROWS, N] */
    sd_score score[ROWS];
} outcome;

static void *guarded(size_t bytes)
{
    char *p = aligned_zeros(bytes + 2 * GUARD);
    memset(p, 0xa5, bytes + 2 * GUARD); /* nothing may depend on what the room held before */
    return p + GUARD;
}

static void check_guards(void *p, size_t bytes)
{
    const unsigned char *low = (unsigned char *)p - GUARD, *high = (unsigned char *)p + bytes;
    for (int i = 0; i < GUARD; i++)
        assert_true(low[i] == 0xa5 && high[i] == 0xa5);
    free((char *)p - GUARD);
}

/* Sequences first.. in batches of `batch`. */
static outcome run_sequences(const sd_network *n, const sd_kernels *k, const sequences *s, int batch)
{
    size_t outputs = ROWS * (size_t)n->classes * sizeof(float), bytes = sd_room_bytes(n, batch);
    outcome o = {.p = guarded(outputs)};
    void *room = guarded(bytes);
#ifdef COUNTS_ALLOCATIONS
    size_t before = allocations;
#endif
    for (int i = 0; i < s->count; i += batch) {
        int many = s->count - i < batch ? s->count - i : batch;
        sd_network_run(n, k, room, batch, s->types + i * s->length, s->lengths + i, many, (size_t)s->length,
                       o.score + i, o.p + (size_t)i * (size_t)n->classes);
    }
#ifdef COUNTS_ALLOCATIONS
    assert_int_equal(allocations, before);
#endif
    check_guards(room, bytes);
    return o;
}

static void outcome_free(outcome *o, const sd_network *n)
{
    check_guards(o->p, ROWS * (size_t)n->classes * sizeof(float));
}

static double largest_difference(const float *a, const double *b, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, isnan(a[i]) ? INFINITY : fabs((double)a[i] - b[i]));
    return most;
}

static bool same_outcome(const outcome *a, const outcome *b, int classes)
{
    bool same = !memcmp(a->p, b->p, ROWS * (size_t)classes * sizeof(float));
    for (int i = 0; i < ROWS; i++) {
        const sd_score *x = &a->score[i], *y = &b->score[i];
        same = same && x->best_class == y->best_class && !memcmp(&x->probability, &y->probability, 4) &&
               !memcmp(&x->skewness, &y->skewness, 8) && !memcmp(&x->kurtosis, &y->kurtosis, 8);
    }
    return same;
}

/* Scores follow from the probabilities. */
static void check_scores(const outcome *o, int classes)
{
    double n = classes;
    for (int i = 0; i < ROWS; i++) {
        const float *p = o->p + i * classes;
        int best = 0;
        double m2 = 0, m3 = 0, m4 = 0, sum = 0;
        for (int k = 0; k < classes; k++) {
            best = p[k] > p[best] ? k : best;
            sum += (double)p[k];
        }
        for (int k = 0; k < classes; k++) {
            double d = (double)p[k] - sum / n;
            m2 += d * d / n;
            m3 += d * d * d / n;
            m4 += d * d * d * d / n;
        }
        assert_true(p[o->score[i].best_class] == p[best] && o->score[i].probability == p[best]);
        assert_true(fabs(sum - 1) < 1e-5);
        assert_true(fabs(o->score[i].skewness - m3 / pow(m2, 1.5) * sqrt(n - 1) / (n - 2)) < 1e-9);
        assert_true(fabs(o->score[i].kurtosis - m4 / (m2 * m2) * (n - 1) / (n * n - 3 * n + 3)) < 1e-9);
    }
}

/* ---- against the reference ---- */

typedef struct {
    int types, length, units, classes, layers;
} shape;

static const shape shapes[] = {
    {3, 5, 7, 5, 1},     {18, 12, 33, 70, 1}, {5, 9, 16, 64, 1},   {40, 8, 50, 129, 1},
    {300, 6, 100, 3, 1}, {6, 7, 21, 66, 2},   {18, 10, 64, 31, 2}, {4, 1, 17, 9, 2},
};

static const double near_rounded[] = {2e-6, 2e-3, 2e-3}, near_exact[] = {2e-6, 1e-2, 2e-2};
static const char *const precision_names[] = {"fp32", "bf16", "int8"};

static double *all_outputs(const reference *r, const sequences *s)
{
    size_t classes = (size_t)r->plain->classes;
    double *wanted = calloc(ROWS * classes, sizeof *wanted);
    for (int i = 0; i < ROWS; i++)
        reference_outputs(r, s, i, wanted + (size_t)i * classes);
    return wanted;
}

/* Every level near the reference, in its precision and without rounding; int8 with equal bits. */
static void check_precision(const plain_network *plain, sd_precision precision, const sequences *s)
{
    reference rounded = reference_of(plain, precision), exact = reference_of(plain, SD_FP32);
    double *near = all_outputs(&rounded, s), *far = all_outputs(&exact, s);
    sd_network n = packed_network(plain, precision);
    const sd_kernels *kernels[KERNELS_MOST];
    int count = kernels_of(precision, kernels);
    size_t size = ROWS * (size_t)plain->classes;
    outcome first = {0};
    for (int i = 0; i < count; i++) {
        outcome o = run_sequences(&n, kernels[i], s, ROWS);
        double d1 = largest_difference(o.p, near, size), d2 = largest_difference(o.p, far, size);
        if (getenv("SD_TEST_PRINT"))
            print_message("%s %s %d: %g %g\n", precision_names[precision], kernels[i]->level,
                          kernels[i]->needs, d1, d2);
        if (!(d1 <= near_rounded[precision]) || !(d2 <= near_exact[precision]))
            fail_msg("%s %s (needs %u), H %d N %d layers %d padding %d: off by %g and %g",
                     precision_names[precision], kernels[i]->level, kernels[i]->needs, plain->units,
                     plain->classes, plain->layers, plain->padding, d1, d2);
        check_scores(&o, plain->classes);
        if (i == 0)
            first = o;
        else {
            if (precision == SD_INT8)
                assert_true(same_outcome(&o, &first, plain->classes));
            outcome_free(&o, &n);
        }
    }
    outcome_free(&first, &n);
    packed_network_free(&n);
    reference_free(&rounded);
    reference_free(&exact);
    free(near);
    free(far);
}

static void every_level_is_near_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int padding = SD_PAD_POST; padding <= SD_PAD_PRE; padding++) {
            const shape *h = &shapes[i];
            plain_network plain = {.types = h->types,
                                   .length = h->length,
                                   .units = h->units,
                                   .classes = h->classes,
                                   .layers = h->layers,
                                   .padding = padding};
            plain_random(&plain);
            sequences s = make_sequences(h->length, h->types);
            for (int precision = 0; precision < SD_PRECISIONS; precision++)
                check_precision(&plain, (sd_precision)precision, &s);
            free(s.types);
            plain_free(&plain);
        }
}

/* ---- bits ---- */

static void bits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    plain_network plain = {.types = 6, .length = 9, .units = 50, .classes = 70, .layers = 2};
    plain_random(&plain);
    sequences s = make_sequences(plain.length, plain.types);
    for (int precision = 0; precision < SD_PRECISIONS; precision++)
        for (int padding = SD_PAD_POST; padding <= SD_PAD_PRE; padding++) {
            plain.padding = (sd_padding)padding;
            sd_network n = packed_network(&plain, (sd_precision)precision);
            const sd_kernels *kernels[KERNELS_MOST];
            int count = kernels_of((sd_precision)precision, kernels), batches[] = {1, 2, 5, 7, 16, 100};
            for (int i = 0; i < count; i++) {
                outcome whole = run_sequences(&n, kernels[i], &s, ROWS);
                for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
                    outcome parts = run_sequences(&n, kernels[i], &s, batches[b]);
                    assert_true(same_outcome(&whole, &parts, plain.classes));
                    outcome_free(&parts, &n);
                }
                assert_memory_equal(whole.p, whole.p + (ROWS - 1) * plain.classes,
                                    (size_t)plain.classes * sizeof(float)); /* equal sequences */
                outcome_free(&whole, &n);
            }
            packed_network_free(&n);
        }
    free(s.types);
    plain_free(&plain);
}

/* Those with fused multiply-adds do the same operations in the same order. */
static void fused_levels_have_equal_bits_in_fp32(void **state)
{
    (void)state;
    const sd_kernels *narrow = sd_kernels_find("avx2", SD_FP32), *wide = sd_kernels_find("avx512", SD_FP32);
    if (!narrow || !wide)
        skip();
    plain_network plain = {.types = 6, .length = 9, .units = 77, .classes = 70, .layers = 1};
    plain_random(&plain);
    sequences s = make_sequences(plain.length, plain.types);
    sd_network n = packed_network(&plain, SD_FP32);
    outcome a = run_sequences(&n, narrow, &s, ROWS), b = run_sequences(&n, wide, &s, ROWS);
    assert_true(same_outcome(&a, &b, plain.classes));
    outcome_free(&a, &n);
    outcome_free(&b, &n);
    packed_network_free(&n);
    free(s.types);
    plain_free(&plain);
}

/* Scores or probabilities may be left out. */
static void outputs_are_optional(void **state)
{
    (void)state;
    plain_network plain = {.types = 6, .length = 9, .units = 20, .classes = 70, .layers = 1};
    plain_random(&plain);
    sequences s = make_sequences(plain.length, plain.types);
    sd_network n = packed_network(&plain, SD_FP32);
    const sd_kernels *k = sd_kernels_find(NULL, SD_FP32);
    outcome o = run_sequences(&n, k, &s, ROWS), half = {.p = guarded(ROWS * 70 * sizeof(float))};
    void *room = aligned_zeros(sd_room_bytes(&n, ROWS));
    sd_network_run(&n, k, room, ROWS, s.types, s.lengths, ROWS, (size_t)s.length, half.score, NULL);
    sd_network_run(&n, k, room, ROWS, s.types, s.lengths, ROWS, (size_t)s.length, NULL, half.p);
    assert_true(same_outcome(&o, &half, plain.classes));
    free(room);
    outcome_free(&o, &n);
    outcome_free(&half, &n);
    packed_network_free(&n);
    free(s.types);
    plain_free(&plain);
}

/* ---- packing ---- */

static size_t documented_place(sd_precision precision, int rows_padded, int k, int c)
{
    int g = precision == SD_FP32 ? 1 : precision == SD_BF16 ? 2 : 4;
    return (size_t)(((c / 64) * ((rows_padded + g - 1) / g) + k / g) * 64 * g + (c % 64) * g + k % g);
}

static void check_packing(sd_precision precision, int rows, int columns, int rows_padded)
{
    float *w = random_floats((size_t)rows * (size_t)columns, 0.1f, 5);
    for (int k = 0; k < rows; k++)
        w[k * columns + 1] = 0; /* a column of zeros */
    sd_matrix m = packed_matrix(precision, w, rows, columns, rows_padded);
    int element = precision == SD_FP32 ? 4 : precision == SD_BF16 ? 2 : 1;
    size_t bytes = sd_matrix_bytes(precision, rows_padded, columns), seen = 0, set = 0;
    assert_true(bytes >= (size_t)rows_padded * (size_t)m.columns * (size_t)element && bytes % 64 == 0);
    for (int c = 0; c < columns; c++) {
        int32_t sum = 0, most = 0;
        for (int k = 0; k < rows; k++) {
            size_t at = documented_place(precision, rows_padded, k, c);
            float x = w[k * columns + c];
            assert_true((at + 1) * (size_t)element <= bytes);
            if (precision == SD_FP32)
                assert_true(((const float *)m.data)[at] == x);
            else if (precision == SD_BF16)
                assert_int_equal(((const uint16_t *)m.data)[at], sg_bf16_from_float(x));
            else {
                int q = ((const int8_t *)m.data)[at];
                assert_true(fabs((double)x - q * (double)m.scale[c]) <= 0.5001 * (double)m.scale[c]);
                assert_true(q >= -127);
                sum += q;
                most = abs(q) > most ? abs(q) : most;
            }
            seen +=
                x != 0 && memcmp((const char *)m.data + at * (size_t)element, "\0\0\0", (size_t)element) != 0;
        }
        if (precision == SD_INT8) {
            assert_int_equal(m.sums[c], sum);
            assert_int_equal(most, c == 1 ? 0 : 127);
        }
    }
    for (size_t i = 0; i < bytes / (size_t)element; i++)
        set += memcmp((const char *)m.data + i * (size_t)element, "\0\0\0", (size_t)element) != 0;
    assert_int_equal(set, seen); /* nothing but the weights is there */
    packed_matrix_free(&m);
    free(w);
}

static void weights_lie_where_documented(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 2, 16}, {7, 5, 16}, {33, 64, 48}, {16, 130, 16}, {50, 200, 64}};
    for (int precision = 0; precision < SD_PRECISIONS; precision++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            check_packing((sd_precision)precision, sizes[i][0], sizes[i][1], sizes[i][2]);
}

/* ---- levels by name ---- */

static void levels_are_found_by_name(void **state)
{
    (void)state;
    assert_null(sd_kernels_find("mmx", SD_FP32));
    assert_null(sd_kernels_find("", SD_FP32));
    for (int precision = 0; precision < SD_PRECISIONS; precision++) {
        char names[128], *rest = names, *name;
        snprintf(names, sizeof names, "%s", sd_kernels_all());
        const char *last = NULL;
        while ((name = strtok_r(rest, " ", &rest)) != NULL) {
            const sd_kernels *k = sd_kernels_find(name, (sd_precision)precision);
            assert_non_null(k);
            assert_int_equal(k->precision, precision);
            assert_string_equal(last = sd_kernels_name(k), name);
        }
        assert_string_equal(sd_kernels_name(sd_kernels_find(NULL, (sd_precision)precision)), last);
        assert_ptr_equal(sd_kernels_find("auto", (sd_precision)precision),
                         sd_kernels_find(NULL, (sd_precision)precision));
    }
}

/* ---- PyTorch's float64 values ---- */

static const float *tensor(const reference_case *c, const char *name)
{
    for (int k = 0; k < c->params.layout.tensors; k++)
        if (!strcmp(c->params.layout.tensor[k].name, name))
            return c->params.data + c->params.layout.tensor[k].offset;
    fail_msg("no tensor %s", name);
    return NULL;
}

static void check_case(const char *file)
{
    reference_case c;
    case_open(&c, file);
    /* The network only reads its weights. */
#define T(name) (float *)(uintptr_t)tensor(&c, name)
    plain_network plain = {.types = c.spec.message_types,
                           .length = c.spec.max_length,
                           .units = c.spec.units,
                           .classes = c.spec.classes,
                           .layers = c.spec.layers,
                           .padding = SD_PAD_POST,
                           .dense = T("dense/kernel"),
                           .dense_bias = T("dense/bias")};
    static const char *const names[2][3] = {{"lstm_0/kernel", "lstm_0/recurrent_kernel", "lstm_0/bias"},
                                            {"lstm_1/kernel", "lstm_1/recurrent_kernel", "lstm_1/bias"}};
    for (int l = 0; l < plain.layers; l++) {
        plain.kernel[l] = T(names[l][0]);
        plain.recurrent[l] = T(names[l][1]);
        plain.bias[l] = T(names[l][2]);
    }
#undef T
    size_t n = (size_t)plain.classes, rows = (size_t)c.rows, unique = (size_t)c.set.count;
    double *wanted = calloc(rows * n, sizeof *wanted);
    int64_t dims[2] = {c.rows, plain.classes};
    assert_ok(sg_h5_read(&c.file, "/probabilities", H5T_NATIVE_DOUBLE, 2, dims, wanted));
    float *p = calloc(unique * n, sizeof *p);
    uint16_t *lengths = calloc(unique, sizeof *lengths);
    for (size_t i = 0; i < unique; i++)
        while (lengths[i] < plain.length && c.set.token[i * (size_t)plain.length + lengths[i]])
            lengths[i]++;
    for (int precision = 0; precision < SD_PRECISIONS; precision++) {
        sd_network net = packed_network(&plain, (sd_precision)precision);
        const sd_kernels *k = sd_kernels_find(NULL, (sd_precision)precision);
        void *room = aligned_zeros(sd_room_bytes(&net, c.set.count));
        sd_network_run(&net, k, room, c.set.count, c.set.token, lengths, c.set.count, (size_t)plain.length,
                       NULL, p);
        for (size_t b = 0; b < rows; b++)
            assert_true(largest_difference(p + (size_t)c.row_sequence[b] * n, wanted + b * n, n) <=
                        near_exact[precision]);
        free(room);
        packed_network_free(&net);
    }
    free(p);
    free(lengths);
    free(wanted);
    case_close(&c);
}

static void pytorch_agrees(void **state)
{
    (void)state;
    check_case("case_tiny.h5");
    check_case("case_one_layer.h5");
    check_case("case_two_layers.h5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_lie_where_documented),
        cmocka_unit_test(levels_are_found_by_name),
        cmocka_unit_test(every_level_is_near_the_reference),
        cmocka_unit_test(bits_do_not_depend_on_the_batch),
        cmocka_unit_test(fused_levels_have_equal_bits_in_fp32),
        cmocka_unit_test(outputs_are_optional),
        cmocka_unit_test(pytorch_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
