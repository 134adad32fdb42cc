/* ONNX files read back with protobuf-c: the interface that is promised, weights in the order of the
 * operators, the same bytes each time.  That onnxruntime computes the same from them is for tests/e2e/peers.
 */
#include "export/export.h"
#include "export_case.h"
#include "onnx.pb-c.h"

static Onnx__ModelProto *read_file(const char *path, char **bytes, size_t *length)
{
    assert_ok(sg_file_read(path, (size_t)1 << 30, bytes, length));
    Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, *length, (const uint8_t *)*bytes);
    assert_non_null(model);
    return model;
}

static Onnx__ModelProto *export_and_read(export_case *c)
{
    char *bytes;
    size_t length;
    export_case_name(c, "m.onnx");
    assert_ok(sg_export_onnx(&c->model, c->path));
    assert_int_equal(export_case_files(c), 1);
    Onnx__ModelProto *model = read_file(c->path, &bytes, &length);
    free(bytes);
    return model;
}

static const Onnx__ValueInfoProto *find_output(const Onnx__ModelProto *model, const char *name)
{
    for (size_t i = 0; i < model->graph->n_output; i++)
        if (strcmp(model->graph->output[i]->name, name) == 0)
            return model->graph->output[i];
    return NULL;
}

static const Onnx__TensorProto *find_tensor(const Onnx__ModelProto *model, const char *name)
{
    for (size_t i = 0; i < model->graph->n_initializer; i++)
        if (strcmp(model->graph->initializer[i]->name, name) == 0)
            return model->graph->initializer[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static const char *metadata(const Onnx__ModelProto *model, const char *key)
{
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (strcmp(model->metadata_props[i]->key, key) == 0)
            return model->metadata_props[i]->value;
    return "";
}

static void check_output(const Onnx__ModelProto *model, const char *name, int type, int64_t columns)
{
    const Onnx__ValueInfoProto *output = find_output(model, name);
    assert_non_null(output);
    const Onnx__TypeProto__Tensor *tensor = output->type->tensor_type;
    assert_int_equal(tensor->elem_type, type);
    assert_int_equal(tensor->shape->n_dim, columns ? 2 : 1);
    assert_string_equal(tensor->shape->dim[0]->dim_param, "batch");
    if (columns)
        assert_int_equal(tensor->shape->dim[1]->dim_value, columns);
}

static void test_interface(void **state)
{
    (void)state;
    export_case c;
    export_case_open(&c, 1, 0, SG_PADDING_POST);
    Onnx__ModelProto *model = export_and_read(&c);
    assert_int_equal(model->ir_version, 8);
    assert_int_equal(model->opset_import[0]->version, 17);
    assert_int_equal(model->graph->n_input, 1);
    const Onnx__ValueInfoProto *tokens = model->graph->input[0];
    assert_string_equal(tokens->name, "tokens");
    assert_int_equal(tokens->type->tensor_type->elem_type, ONNX__TENSOR_PROTO__DATA_TYPE__INT64);
    assert_int_equal(tokens->type->tensor_type->shape->dim[1]->dim_value, c.corpus.max_length);
    check_output(model, "probabilities", ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, c.corpus.classes);
    check_output(model, "class", ONNX__TENSOR_PROTO__DATA_TYPE__INT64, 0);
    check_output(model, "skewness", ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, 0);
    check_output(model, "kurtosis", ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE, 0);
    check_output(model, "abnormal", ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 0);
    check_output(model, "abnormal_either", ONNX__TENSOR_PROTO__DATA_TYPE__BOOL, 0);
    double limit;
    memcpy(&limit, find_tensor(model, "threshold_kurtosis")->raw_data.data, sizeof limit);
    assert_true(limit == c.model.lambda_kurtosis);
    assert_string_equal(metadata(model, "sipgpu.type_rule"), "cseq/1");
    assert_string_equal(metadata(model, "sipgpu.retransmissions"), "collapse");
    assert_string_equal(metadata(model, "sipgpu.padding"), "post");
    assert_non_null(strstr(metadata(model, "sipgpu.alphabet"), "\"INVITE\""));
    assert_non_null(strstr(metadata(model, "sipgpu.thresholds"), "0.30000000000000004"));
    onnx__model_proto__free_unpacked(model, NULL);
    export_case_close(&c);
}

static void test_no_thresholds_no_verdict(void **state)
{
    (void)state;
    export_case c;
    export_case_open(&c, 1, 0, SG_PADDING_POST);
    c.model.has_thresholds = false;
    Onnx__ModelProto *model = export_and_read(&c);
    assert_null(find_output(model, "abnormal"));
    assert_null(find_output(model, "abnormal_either"));
    assert_non_null(find_output(model, "kurtosis"));
    assert_string_equal(metadata(model, "sipgpu.thresholds"), "");
    onnx__model_proto__free_unpacked(model, NULL);
    export_case_close(&c);
}

/* Row g * H + u of an ONNX tensor [4H, rows] is column `keras_gate[g]` * H + u of ours. */
static void check_gates(const float *onnx, const float *ours, int rows, int units)
{
    static const int keras_gate[4] = {0, 3, 1, 2}; /* i, o, f, c among i, f, c, o */
    for (int g = 0; g < 4; g++)
        for (int u = 0; u < units; u++)
            for (int r = 0; r < rows; r++)
                assert_true(onnx[(g * units + u) * rows + r] ==
                            ours[(size_t)r * 4 * (size_t)units + (size_t)(keras_gate[g] * units + u)]);
}

static const float *floats(const Onnx__ModelProto *model, const char *name, size_t count)
{
    const Onnx__TensorProto *tensor = find_tensor(model, name);
    assert_int_equal(tensor->raw_data.len, count * sizeof(float));
    float *copy = malloc(tensor->raw_data.len); /* aligned */
    assert_non_null(copy);
    memcpy(copy, tensor->raw_data.data, tensor->raw_data.len);
    return copy;
}

static void test_weights(void **state)
{
    (void)state;
    export_case c;
    export_case_open(&c, 2, 0.5, SG_PADDING_MASK);
    Onnx__ModelProto *model = export_and_read(&c);
    const sg_params *p = &c.model.params;
    const size_t m = (size_t)c.corpus.message_types, h = 5, n = (size_t)c.corpus.classes;
    for (int l = 0; l < 2; l++) {
        char names[3][24];
        const size_t in = l ? h : m;
        snprintf(names[0], sizeof names[0], "lstm_%d.input", l);
        snprintf(names[1], sizeof names[1], "lstm_%d.recurrent", l);
        snprintf(names[2], sizeof names[2], "lstm_%d.bias", l);
        const float *input = floats(model, names[0], 4 * h * in), *bias = floats(model, names[2], 8 * h);
        const float *recurrent = floats(model, names[1], 4 * h * h);
        check_gates(input, sg_params_at(p, p->layout.kernel[l]), (int)in, (int)h);
        check_gates(recurrent, sg_params_at(p, p->layout.recurrent[l]), (int)h, (int)h);
        check_gates(bias, sg_params_at(p, p->layout.bias[l]), 1, (int)h);
        for (size_t i = 4 * h; i < 8 * h; i++)
            assert_true(bias[i] == 0);
        free((void *)(uintptr_t)input);
        free((void *)(uintptr_t)recurrent);
        free((void *)(uintptr_t)bias);
    }
    const Onnx__TensorProto *dense = find_tensor(model, "dense.kernel");
    assert_int_equal(dense->raw_data.len, h * n * sizeof(float));
    assert_memory_equal(dense->raw_data.data, sg_params_at(p, p->layout.dense_kernel), dense->raw_data.len);
    onnx__model_proto__free_unpacked(model, NULL);
    export_case_close(&c);
}

static void test_same_bytes(void **state)
{
    (void)state;
    export_case c;
    char *first, *second;
    size_t first_length, second_length;
    export_case_open(&c, 2, 0, SG_PADDING_PRE);
    export_case_name(&c, "a.onnx");
    assert_ok(sg_export_onnx(&c.model, c.path));
    assert_ok(sg_file_read(c.path, (size_t)1 << 30, &first, &first_length));
    export_case_name(&c, "b.onnx");
    assert_ok(sg_export_onnx(&c.model, c.path));
    assert_ok(sg_file_read(c.path, (size_t)1 << 30, &second, &second_length));
    assert_int_equal(first_length, second_length);
    assert_memory_equal(first, second, first_length);
    free(first);
    free(second);
    export_case_close(&c);
}

static void test_refused(void **state)
{
    (void)state;
    export_case c;
    export_case_open(&c, 1, 0, SG_PADDING_POST);
    export_case_name(&c, "m.onnx");
    sg_model large = {
        .spec = {.message_types = 18, .max_length = 56, .units = 12000, .classes = 12000, .layers = 1}};
    sg_layout_make(&large.params.layout, &large.spec);
    assert_fails(SG_E_CONFIG, "an ONNX file holds at most", sg_export_onnx(&large, c.path));
    large.spec = (sg_spec){.message_types = 40000, .max_length = 56, .units = 4, .classes = 4, .layers = 1};
    sg_layout_make(&large.params.layout, &large.spec);
    assert_fails(SG_E_CONFIG, "an ONNX file holds at most", sg_export_onnx(&large, c.path));
    free(c.model.alphabet[2]);
    c.model.alphabet[2] = strdup("\xc3(");
    assert_fails(SG_E_CONFIG, "message type 3 is not valid UTF-8", sg_export_onnx(&c.model, c.path));
    free(c.model.alphabet[2]);
    c.model.alphabet[2] = strdup("B\xc3\xbc");
    assert_ok(sg_export_onnx(&c.model, c.path));
    unlink(c.path);
    export_case_name(&c, "no/m.onnx");
    assert_fails(SG_E_IO, "cannot write", sg_export_onnx(&c.model, c.path));
    assert_int_equal(export_case_files(&c), 0);
    export_case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interface), cmocka_unit_test(test_no_thresholds_no_verdict),
        cmocka_unit_test(test_weights),   cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
