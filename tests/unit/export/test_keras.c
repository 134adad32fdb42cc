/* What is exported for Keras comes back as it was, from each container; graphs of Keras 2 and 3 are read, and
 * what cannot be represented is refused by name. */
#include "export/archive.h"
#include "export/export.h"
#include "export/keras_layers.h"
#include "export_case.h"

/* ---- round trip ---- */

static void assert_same_model(const sg_model *a, const sg_model *b)
{
    const size_t n = (size_t)a->spec.classes, steps = (size_t)a->spec.max_length;
    const sg_spec *x = &a->spec, *y = &b->spec;
    assert_true(x->message_types == y->message_types && x->max_length == y->max_length);
    assert_true(x->units == y->units && x->classes == y->classes && x->layers == y->layers);
    assert_true(x->dropout == y->dropout && x->padding == y->padding);
    assert_int_equal(a->params.layout.count, b->params.layout.count);
    assert_memory_equal(a->params.data, b->params.data, a->params.layout.count * sizeof(float));
    for (int m = 0; m < a->spec.message_types; m++)
        assert_string_equal(a->alphabet[m], b->alphabet[m]);
    assert_memory_equal(a->class_sequence, b->class_sequence, n * steps * sizeof *a->class_sequence);
    assert_memory_equal(a->class_length, b->class_length, n * sizeof *a->class_length);
    assert_memory_equal(a->class_train, b->class_train, n * sizeof *a->class_train);
    assert_string_equal(a->type_rule, b->type_rule);
    assert_int_equal(a->collapsed, b->collapsed);
    assert_int_equal(a->has_thresholds, b->has_thresholds);
    assert_true(a->lambda_skewness == b->lambda_skewness && a->lambda_kurtosis == b->lambda_kurtosis);
    assert_memory_equal(a->prefix_limit, b->prefix_limit, steps * sizeof *a->prefix_limit);
    assert_int_equal(a->has_kmeans, b->has_kmeans);
    assert_memory_equal(a->centroid, b->centroid, sizeof a->centroid);
    assert_string_equal(a->config, b->config);
    assert_true(a->seed == b->seed);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->update, b->update);
    assert_string_equal(a->corpus_digest, b->corpus_digest);
    assert_string_equal(a->tool, b->tool);
    assert_string_equal(a->device, b->device);
}

static void test_round_trip(void **state)
{
    (void)state;
    static const char *const names[] = {"m.keras", "m.weights.h5"};
    for (int k = 0; k < 12; k++) {
        export_case c;
        sg_model back;
        sg_keras_report report;
        const int layers = 1 + k % 2;
        export_case_open(&c, layers, layers == 2 ? 0.5 : 0, (sg_padding)(k / 2 % 3));
        export_case_name(&c, names[k / 6]);
        assert_ok(sg_export_keras(&c.model, c.path));
        assert_int_equal(export_case_files(&c), 1 + k / 6);
        assert_ok(sg_import_keras(&back, c.path, NULL, -1, &report));
        assert_true(report.described);
        assert_same_model(&c.model, &back);
        sg_model_free(&back);
        export_case_close(&c);
    }
}

/* With a corpus only the network and the padding are the file's. */
static void test_import_with_corpus(void **state)
{
    (void)state;
    export_case c;
    sg_model back;
    sg_keras_report report;
    export_case_open(&c, 1, 0, SG_PADDING_PRE);
    strcpy(c.corpus.type_rule, c.model.type_rule);
    c.corpus.collapsed = c.model.collapsed;
    export_case_name(&c, "m.keras");
    assert_ok(sg_export_keras(&c.model, c.path));
    assert_ok(sg_import_keras(&back, c.path, &c.corpus, -1, &report));
    assert_false(report.described);
    assert_int_equal(back.spec.padding, SG_PADDING_PRE);
    assert_false(back.has_thresholds);
    assert_null(back.prefix_limit);
    assert_memory_equal(back.params.data, c.model.params.data, back.params.layout.count * sizeof(float));
    assert_string_equal(back.device, "Keras 3.0.0");
    sg_model_free(&back);
    assert_fails(SG_E_CONFIG, "no Masking layer",
                 sg_import_keras(&back, c.path, &c.corpus, SG_PADDING_MASK, &report));
    free(c.corpus.alphabet[4]);
    c.corpus.alphabet[4] = strdup("PRACK");
    assert_fails(SG_E_CONFIG, "message type 5 is REGISTER in the file, PRACK in the corpus",
                 sg_import_keras(&back, c.path, &c.corpus, -1, &report));
    c.corpus.collapsed = false;
    free(c.corpus.alphabet[4]);
    c.corpus.alphabet[4] = strdup("REGISTER");
    assert_fails(SG_E_CONFIG, "retransmissions", sg_import_keras(&back, c.path, &c.corpus, -1, &report));
    export_case_close(&c);
}

static void test_same_bytes(void **state)
{
    (void)state;
    export_case c;
    char *bytes[2];
    size_t length[2];
    export_case_open(&c, 2, 0.5, SG_PADDING_MASK);
    export_case_name(&c, "m.keras");
    for (int k = 0; k < 2; k++) {
        setenv("TZ", k ? "Asia/Tokyo" : "America/Lima", 1);
        assert_ok(sg_export_keras(&c.model, c.path));
        assert_ok(sg_file_read(c.path, (size_t)1 << 30, &bytes[k], &length[k]));
    }
    assert_int_equal(length[0], length[1]);
    assert_memory_equal(bytes[0], bytes[1], length[0]);
    free(bytes[0]);
    free(bytes[1]);
    export_case_close(&c);
}

static void test_unwritable(void **state)
{
    (void)state;
    export_case c;
    export_case_open(&c, 1, 0, SG_PADDING_POST);
    export_case_name(&c, "no/m.keras");
    assert_fails(SG_E_IO, "cannot write", sg_export_keras(&c.model, c.path));
    export_case_name(&c, "no/m.weights.h5");
    assert_fails(SG_E_IO, "cannot write", sg_export_keras(&c.model, c.path));
    assert_int_equal(export_case_files(&c), 0);
    export_case_close(&c);
}

/* ---- archives ---- */

static void test_archive_members(void **state)
{
    (void)state;
    export_case c;
    sg_archive *archive;
    void *data;
    size_t bytes;
    export_case_open(&c, 1, 0, SG_PADDING_POST);
    export_case_name(&c, "a.keras");
    const sg_archive_member members[] = {{"one", "1", 1}, {"empty", "", 0}};
    assert_ok(sg_archive_write(c.path, members, 2));
    assert_ok(sg_archive_open(&archive, c.path));
    assert_true(sg_archive_has(archive, "empty"));
    assert_false(sg_archive_has(archive, "two"));
    assert_ok(sg_archive_read(archive, c.path, "one", 1, &data, &bytes));
    assert_int_equal(bytes, 1);
    assert_string_equal((char *)data, "1");
    free(data);
    assert_ok(sg_archive_read(archive, c.path, "empty", 1, &data, &bytes));
    assert_int_equal(bytes, 0);
    free(data);
    assert_fails(SG_E_FORMAT, "the member one is too large",
                 sg_archive_read(archive, c.path, "one", 0, &data, &bytes));
    assert_fails(SG_E_FORMAT, "the member two is missing",
                 sg_archive_read(archive, c.path, "two", 9, &data, &bytes));
    sg_archive_close(archive);
    export_case_close(&c);
}

/* ---- layers ---- */

#define INPUT   "{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"in\",\"batch_shape\":[null,24,18]}}"
#define MASKING "{\"class_name\":\"Masking\",\"config\":{\"name\":\"mask\",\"mask_value\":0.0}}"
#define LSTM(name, more)                                                                \
    "{\"class_name\":\"LSTM\",\"module\":\"keras.layers\",\"config\":{\"name\":\"" name \
    "\",\"units\":7" more "}}"
#define FIRST       LSTM("a", ",\"return_sequences\":true")
#define LAST        LSTM("b", ",\"return_sequences\":false")
#define DROPOUT     "{\"class_name\":\"Dropout\",\"config\":{\"name\":\"drop\",\"rate\":0.25}}"
#define DENSE(more) "{\"class_name\":\"Dense\",\"config\":{\"name\":\"d\",\"units\":9" more "}}"
#define SOFTMAX     DENSE(",\"activation\":\"softmax\"")
#define SEQUENTIAL(layers) \
    "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"s\",\"layers\":[" layers "]}}"

static sg_status read_layers(const char *text, sg_keras_layers *layers)
{
    cJSON *json = cJSON_Parse(text);
    if (!json)
        fail_msg("no JSON: %s", text);
    sg_status status = sg_keras_layers_read(layers, json, "m.h5");
    layers->dense = layers->lstm[0] = layers->lstm[1] = NULL; /* gone with the JSON */
    cJSON_Delete(json);
    return status;
}

static void test_layers(void **state)
{
    (void)state;
    sg_keras_layers l;
    assert_ok(read_layers(SEQUENTIAL(INPUT "," MASKING "," FIRST "," LAST "," DROPOUT "," SOFTMAX), &l));
    assert_int_equal(l.max_length, 24);
    assert_int_equal(l.message_types, 18);
    assert_int_equal(l.units, 7);
    assert_int_equal(l.classes, 9);
    assert_int_equal(l.layers, 2);
    assert_true(l.masking && l.dropout == 0.25);
    assert_string_equal(l.left_out, "");
    assert_ok(read_layers(SEQUENTIAL(LAST "," SOFTMAX), &l));
    assert_true(l.layers == 1 && !l.masking && l.dropout == 0 && l.max_length == 0);
    /* What acts in training only is named. */
    assert_ok(read_layers(
        SEQUENTIAL(FIRST "," DROPOUT "," LSTM("b", ",\"recurrent_dropout\":0.5") "," SOFTMAX), &l));
    assert_string_equal(l.left_out, "drop.rate 0.25, b.recurrent_dropout 0.5");
    /* Keras 2: layers at once in config, the shape in the first. */
    assert_ok(read_layers("{\"class_name\":\"Sequential\",\"config\":[" LSTM(
                              "b", ",\"batch_input_shape\":[null,null,18],\"time_major\":false") "," SOFTMAX
                                                                                                 "]}",
                          &l));
    assert_true(l.message_types == 18 && l.max_length == 0);
}

static void test_refused_layers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {SEQUENTIAL(INPUT "," FIRST "," FIRST "," LAST "," SOFTMAX), "3 LSTM layers; at most 2"},
        {SEQUENTIAL(INPUT "," LAST "," LAST "," SOFTMAX), "layer b: return_sequences is false; only true"},
        {SEQUENTIAL(INPUT "," LSTM("c", "") "," LAST "," SOFTMAX), "layer c: return_sequences is missing"},
        {SEQUENTIAL(INPUT "," FIRST "," SOFTMAX), "layer a: return_sequences is true; only false"},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"activation\":\"relu\"") "," SOFTMAX),
         "layer c: activation is \"relu\"; only \"tanh\""},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"recurrent_activation\":\"hard_sigmoid\"") "," SOFTMAX),
         "layer c: recurrent_activation is \"hard_sigmoid\"; only \"sigmoid\""},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"use_bias\":false") "," SOFTMAX), "layer c: use_bias is false"},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"go_backwards\":true") "," SOFTMAX),
         "layer c: go_backwards is true"},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"stateful\":true") "," SOFTMAX), "layer c: stateful is true"},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"return_state\":true") "," SOFTMAX),
         "layer c: return_state is true"},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"dtype\":\"float64\"") "," SOFTMAX), "layer c: dtype is float64"},
        {SEQUENTIAL(INPUT "," LSTM("c", ",\"dropout\":1.5") "," SOFTMAX), "layer c: dropout is not a number"},
        {SEQUENTIAL(INPUT ",{\"class_name\":\"LSTM\",\"config\":{\"name\":\"c\",\"units\":3,\"return_"
                          "sequences\":true}}," LAST "," SOFTMAX),
         "layer b: units is 7; only the 3 of c"},
        {SEQUENTIAL(INPUT ",{\"class_name\":\"GRU\",\"config\":{\"name\":\"g\",\"units\":3}}," SOFTMAX),
         "layer g, a GRU, cannot be represented"},
        {SEQUENTIAL(INPUT ",{\"class_name\":\"Bidirectional\",\"config\":{\"name\":\"bi\"}}," SOFTMAX),
         "layer bi, a Bidirectional"},
        {SEQUENTIAL(INPUT ",{\"class_name\":\"LSTM\",\"module\":\"mine\",\"config\":{\"name\":\"c\","
                          "\"units\":3}}," SOFTMAX),
         "layer c is from the module mine"},
        {SEQUENTIAL(INPUT "," LAST "," DENSE(",\"activation\":\"relu\"")), "layer d: activation is \"relu\""},
        {SEQUENTIAL(INPUT "," LAST "," DENSE("")), "layer d has no activation"},
        {SEQUENTIAL(INPUT "," LAST "," SOFTMAX "," SOFTMAX), "layer d, a Dense, cannot be represented there"},
        {SEQUENTIAL(INPUT "," SOFTMAX), "layer d, a Dense, cannot be represented there"},
        {SEQUENTIAL(INPUT "," LAST), "ends without an LSTM and a Dense"},
        {SEQUENTIAL(""), "ends without an LSTM and a Dense"},
        {SEQUENTIAL("{\"class_name\":\"Masking\",\"config\":{\"name\":\"m\",\"mask_value\":-1}}," LAST
                    "," SOFTMAX),
         "layer m: mask_value is -1; only 0"},
        {SEQUENTIAL(
             "{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"i\",\"batch_shape\":[null,24]}}," LAST
             "," SOFTMAX),
         "layer i: the input has 2 dimensions"},
        {SEQUENTIAL("{\"class_name\":\"InputLayer\",\"config\":{\"name\":\"i\",\"batch_shape\":[null,24,"
                    "1e300]}}," LAST "," SOFTMAX),
         "layer i: size 2 of the input"},
        {SEQUENTIAL(INPUT ",{\"class_name\":\"LSTM\",\"config\":{\"name\":\"c\",\"units\":-1}}," SOFTMAX),
         "layer c: units is not a whole number from 1"},
        {SEQUENTIAL(INPUT ",{\"class_name\":\"LSTM\"}," SOFTMAX), "layer ?: units is not a whole number"},
        {"{\"class_name\":\"MyModel\",\"config\":{}}", "a model of the class MyModel"},
        {"{}", "a model of the class ?"},
        {"{\"class_name\":\"Functional\",\"config\":{\"layers\":[]}}", "ends without an LSTM and a Dense"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sg_keras_layers layers;
        const sg_status status = read_layers(cases[i].text, &layers);
        if ((status != SG_E_CONFIG && status != SG_E_FORMAT) || !strstr(sg_error_text(), cases[i].part))
            fail_msg("case %zu: status %d, '%s' lacks '%s'", i, status, sg_error_text(), cases[i].part);
    }
}

/* A Functional model of Keras 3: Masking computes its mask by layers of its own. */
#define HISTORY(name) \
    "{\"class_name\":\"__keras_tensor__\",\"config\":{\"keras_history\":[\"" name "\",0,0]}}"
#define NODE(class_name, name, config, source, more)                                                    \
    "{\"class_name\":\"" class_name "\",\"name\":\"" name "\",\"config\":{\"name\":\"" name "\"" config \
    "},\"inbound_nodes\":[{\"args\":[" HISTORY(source) "],\"kwargs\":{" more "}}]}"
#define SOURCE                                                                                             \
    "{\"class_name\":\"InputLayer\",\"name\":\"in\",\"config\":{\"name\":\"in\",\"batch_shape\":[null,24," \
    "18]},\"inbound_nodes\":[]}"
#define FUNCTIONAL(layers)                                                          \
    "{\"class_name\":\"Functional\",\"config\":{\"name\":\"f\",\"layers\":[" layers \
    "],\"output_layers\":[\"d\",0,0]}}"
#define D3(source) NODE("Dense", "d", ",\"units\":9,\"activation\":\"softmax\"", source, "")

static void test_functional(void **state)
{
    (void)state;
    sg_keras_layers l;
    assert_ok(read_layers(
        FUNCTIONAL(
            SOURCE "," NODE("NotEqual", "ne", "", "in", "") "," NODE("Masking", "m", "", "in", "") "," NODE(
                "Any", "any", "", "ne", "") "," NODE("LSTM", "a", ",\"units\":7", "m",
                                                     "\"training\":false,\"mask\":" HISTORY(
                                                         "any")) "," NODE("Dropout", "x", ",\"rate\":0.5",
                                                                          "a", "") "," D3("x")),
        &l));
    assert_true(l.masking && l.layers == 1 && l.dropout == 0.5 && l.message_types == 18);
    assert_fails(SG_E_CONFIG, "a mask that does not come from a Masking layer",
                 read_layers(FUNCTIONAL(SOURCE "," NODE("Any", "any", "", "in", "") "," NODE(
                                 "LSTM", "a", ",\"units\":7", "in", "\"mask\":" HISTORY("any")) "," D3("a")),
                             &l));
    assert_fails(SG_E_CONFIG, "layer a is called with initial_state",
                 read_layers(FUNCTIONAL(SOURCE "," NODE("LSTM", "a", ",\"units\":7", "in",
                                                        "\"initial_state\":" HISTORY("in")) "," D3("a")),
                             &l));
    assert_fails(SG_E_CONFIG, "layer a is called with training",
                 read_layers(FUNCTIONAL(SOURCE "," NODE("LSTM", "a", ",\"units\":7", "in",
                                                        "\"training\":true") "," D3("a")),
                             &l));
    assert_fails(SG_E_CONFIG, "layer side, a Add, is not on the way",
                 read_layers(FUNCTIONAL(SOURCE "," NODE("LSTM", "a", ",\"units\":7", "in", "") "," NODE(
                                 "Add", "side", "", "in", "") "," D3("a")),
                             &l));
    assert_fails(
        SG_E_FORMAT, "layer gone is missing",
        read_layers(FUNCTIONAL(SOURCE "," NODE("LSTM", "a", ",\"units\":7", "gone", "") "," D3("a")), &l));
    assert_fails(
        SG_E_CONFIG, "more than 32 layers",
        read_layers(FUNCTIONAL(SOURCE "," NODE("LSTM", "a", ",\"units\":7", "d", "") "," D3("a")), &l));
}

/* The same of Keras 2. */
#define NODE2(class_name, name, config, source, more)                                                   \
    "{\"class_name\":\"" class_name "\",\"name\":\"" name "\",\"config\":{\"name\":\"" name "\"" config \
    "},\"inbound_nodes\":[[[\"" source "\",0,0,{" more "}]]]}"
#define MODEL2(layers)                                                         \
    "{\"class_name\":\"Model\",\"config\":{\"name\":\"f\",\"layers\":[" layers \
    "],\"output_layers\":[[\"d\",0,0]]}}"
#define D2(source) NODE2("Dense", "d", ",\"units\":9,\"activation\":\"softmax\"", source, "")

static void test_functional_of_keras_2(void **state)
{
    (void)state;
    sg_keras_layers l;
    assert_ok(read_layers(MODEL2(SOURCE "," NODE2("Masking", "m", "", "in", "") "," NODE2(
                              "LSTM", "a", ",\"units\":7", "m", "") "," D2("a")),
                          &l));
    assert_true(l.masking && l.layers == 1 && l.max_length == 24);
    assert_fails(SG_E_CONFIG, "called with initial_state",
                 read_layers(MODEL2(SOURCE "," NODE2("LSTM", "a", ",\"units\":7", "in",
                                                     "\"initial_state\":[[\"in\",0,0]]") "," D2("a")),
                             &l));
    assert_fails(
        SG_E_CONFIG, "layer a: only a layer with one input",
        read_layers(MODEL2(SOURCE
                           ",{\"class_name\":\"LSTM\",\"name\":\"a\",\"config\":{\"name\":\"a\",\"units\":"
                           "7},\"inbound_nodes\":[[[\"in\",0,0,{}]],[[\"in\",0,0,{}]]]}," D2("a")),
                    &l));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_import_with_corpus),
        cmocka_unit_test(test_same_bytes),
        cmocka_unit_test(test_unwritable),
        cmocka_unit_test(test_archive_members),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_refused_layers),
        cmocka_unit_test(test_functional),
        cmocka_unit_test(test_functional_of_keras_2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
