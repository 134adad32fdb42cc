/* reference_case.h: loads a case that PyTorch computed in float64 (tests/data/case_*.h5). */
#ifndef SG_REFERENCE_CASE_H
#define SG_REFERENCE_CASE_H

#include "base/h5.h"
#include "engine/engine.h"
#include "testing.h"

/* The folder of the test data: $SIPGPU_TEST_DATA, or that of the source tree. */
static inline const char *test_data_folder(void)
{
    const char *given = getenv("SIPGPU_TEST_DATA");
    return given ? given : SG_TEST_DATA;
}

typedef struct {
    sg_h5 file;
    sg_spec spec;
    sg_sequences set;
    int rows;
    int32_t *row_sequence, *label;
    float *mask; /* NULL without dropout */
    sg_params params;
} reference_case;

static inline int case_int(const sg_h5 *file, const char *name)
{
    int64_t value;
    assert_ok(sg_h5_get_int(file, "/", name, 0, 1 << 20, &value));
    return (int)value;
}

/* Gives equal rows of X [rows, steps] the same sequence number. */
static inline void case_sequences(reference_case *c, const uint16_t *x)
{
    int steps = c->spec.max_length, unique = 0;
    uint16_t *sequence = calloc((size_t)c->rows * (size_t)steps, sizeof *sequence);
    uint16_t *length = calloc((size_t)c->rows, sizeof *length);
    for (int b = 0; b < c->rows; b++) {
        const uint16_t *row = x + (size_t)b * (size_t)steps;
        int s = 0;
        while (s < unique &&
               memcmp(sequence + (size_t)s * (size_t)steps, row, (size_t)steps * sizeof *row) != 0)
            s++;
        if (s == unique) {
            memcpy(sequence + (size_t)unique * (size_t)steps, row, (size_t)steps * sizeof *row);
            while (length[unique] < steps && row[length[unique]] != 0)
                length[unique]++;
            unique++;
        }
        c->row_sequence[b] = s;
    }
    assert_ok(sg_sequences_make(&c->set, &c->spec, sequence, length, unique));
    free(sequence);
    free(length);
}

static inline void case_read_params(const reference_case *c, const char *group, sg_params *params)
{
    assert_ok(sg_params_alloc(params, &c->spec));
    for (int k = 0; k < params->layout.tensors; k++) {
        const sg_tensor *t = &params->layout.tensor[k];
        char name[96];
        snprintf(name, sizeof name, "/%s/%s", group, t->name);
        assert_ok(sg_h5_read(&c->file, name, H5T_NATIVE_FLOAT, t->rank, t->dims, params->data + t->offset));
    }
}

static inline void case_open(reference_case *c, const char *name)
{
    char path[512];
    memset(c, 0, sizeof *c);
    snprintf(path, sizeof path, "%s/%s", test_data_folder(), name);
    assert_ok(sg_h5_open(&c->file, path));
    c->rows = case_int(&c->file, "B");
    c->spec = (sg_spec){.message_types = case_int(&c->file, "M"),
                        .max_length = case_int(&c->file, "T"),
                        .units = case_int(&c->file, "H"),
                        .classes = case_int(&c->file, "N"),
                        .layers = case_int(&c->file, "layers")};
    assert_ok(sg_h5_get_real(&c->file, "/", "dropout", &c->spec.dropout));
    int64_t dims[2] = {c->rows, c->spec.max_length}, mask_dims[2] = {c->rows, c->spec.units};
    uint16_t *x = calloc((size_t)(dims[0] * dims[1]), sizeof *x);
    c->row_sequence = calloc((size_t)c->rows, sizeof *c->row_sequence);
    c->label = calloc((size_t)c->rows, sizeof *c->label);
    assert_ok(sg_h5_read(&c->file, "/sequence", H5T_NATIVE_UINT16, 2, dims, x));
    assert_ok(sg_h5_read(&c->file, "/label", H5T_NATIVE_INT32, 1, dims, c->label));
    case_sequences(c, x);
    free(x);
    if (c->spec.dropout > 0) {
        c->mask = calloc((size_t)(mask_dims[0] * mask_dims[1]), sizeof *c->mask);
        assert_ok(sg_h5_read(&c->file, "/dropout_mask", H5T_NATIVE_FLOAT, 2, mask_dims, c->mask));
    }
    case_read_params(c, "params", &c->params);
}

static inline void case_close(reference_case *c)
{
    sg_params_free(&c->params);
    sg_sequences_free(&c->set);
    free(c->row_sequence);
    free(c->label);
    free(c->mask);
    sg_h5_close(&c->file);
}

/* |a - b| / |b|, Euclidean. */
static inline double relative_error(const float *a, const float *b, size_t count)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return size > 0 ? sqrt(difference / size) : sqrt(difference);
}

static inline void assert_params_near(const sg_params *a, const sg_params *b, double tolerance,
                                      const char *what)
{
    for (int k = 0; k < a->layout.tensors; k++) {
        const sg_tensor *t = &a->layout.tensor[k];
        double error = relative_error(a->data + t->offset, b->data + t->offset, t->count);
        if (!(error <= tolerance))
            fail_msg("%s %s: relative error %.3g, expected at most %.3g", what, t->name, error, tolerance);
    }
}

#endif
