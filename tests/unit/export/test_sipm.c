/* From a model to a .sipm file and into the library: nothing is lost on the way. */
#include "../sipdetect/sipm_case.h"

#include "sipdetect/file.h"
#include <sys/stat.h>
#include <unistd.h>

static void same_texts(const sg_model *m, const sipdetect_model *model)
{
    for (int i = 1; i <= CASE_TYPES; i++) {
        assert_string_equal(sipdetect_type_name(model, i), m->alphabet[i - 1]);
        assert_int_equal(sipdetect_type_id(model, m->alphabet[i - 1]), i);
    }
    assert_null(sipdetect_type_name(model, 0));
    assert_null(sipdetect_type_name(model, CASE_TYPES + 1));
    assert_int_equal(sipdetect_type_id(model, "invite"), 6);
    assert_int_equal(sipdetect_type_id(model, "404"), 5);
    assert_int_equal(sipdetect_type_id(model, "503"), 0);
    assert_int_equal(sipdetect_type_id(model, ""), 0);
    assert_int_equal(sipdetect_type_id(model, NULL), 0);
    assert_string_equal(sipdetect_type_rule(model), "paper/1");
    assert_string_equal(sipdetect_retransmissions(model), m->collapsed ? "collapse" : "keep");
    assert_non_null(strstr(sipdetect_provenance(model), "seed = 3\nepoch = 3\n"));
    assert_non_null(strstr(sipdetect_provenance(model), "trained_with = test?1\n"));
}

static void same_classes(const sg_model *m, const sipdetect_model *model)
{
    uint16_t types[CASE_LONGEST];
    for (int c = 0; c < m->spec.classes; c++) {
        assert_int_equal(sipdetect_class_dialog(model, c, types, CASE_LONGEST), m->class_length[c]);
        assert_memory_equal(types, m->class_sequence + c * CASE_LONGEST, 2 * m->class_length[c]);
        assert_int_equal(sipdetect_class_train(model, c), m->class_train[c]);
    }
    types[1] = 77;
    assert_int_equal(sipdetect_class_dialog(model, 0, types, 1), m->class_length[0]);
    assert_int_equal(types[1], 77);
    assert_int_equal(sipdetect_class_dialog(model, -1, types, 1), 0);
    assert_int_equal(sipdetect_class_dialog(model, m->spec.classes, types, 1), 0);
}

static void same_limits(const sg_model *m, const sipdetect_model *model)
{
    for (int k = 0; k <= CASE_LONGEST + 1; k++) {
        double skewness, kurtosis;
        const bool whole = k == 0 || k >= CASE_LONGEST;
        sipdetect_limits(model, k, &skewness, &kurtosis);
        assert_true(skewness == (whole ? m->lambda_skewness : m->prefix_limit[k - 1].skewness));
        assert_true(kurtosis == (whole ? m->lambda_kurtosis : m->prefix_limit[k - 1].kurtosis));
    }
}

/* Node for node, along all paths. */
static void same_trie(const sipm_case *c, const sd_trie *trie, int32_t node, int32_t at)
{
    int children = 0;
    assert_int_equal(trie->ending[at], sg_prefixes_ending(c->prefixes, node));
    assert_int_equal(trie->passing[at], sg_prefixes_passing(c->prefixes, node));
    if (node > 0) {
        assert_true(trie->score[at].skewness == c->scores.skewness[node - 1]);
        assert_true(trie->score[at].kurtosis == c->scores.kurtosis[node - 1]);
        assert_true(trie->score[at].probability == c->scores.p_max[node - 1]);
        assert_int_equal(trie->score[at].best_class, c->scores.argmax[node - 1]);
    }
    for (uint32_t type = 0; type <= CASE_TYPES + 1; type++) {
        const int32_t next = sg_prefixes_next(c->prefixes, node, (uint16_t)type);
        const int32_t step = sd_trie_next(trie, at, (uint16_t)type);
        assert_int_equal(next < 0, step < 0);
        if (next >= 0) {
            same_trie(c, trie, next, step);
            children++;
        }
    }
    assert_int_equal(trie->first[at + 1] - trie->first[at], children);
}

static void round_trip(void **state)
{
    (void)state;
    for (int p = 0; p < SD_PRECISIONS; p++)
        for (uint64_t seed = 3; seed < 8; seed++) {
            sipm_case c;
            sd_file file;
            sipdetect_model *model;
            sg_spec spec = case_spec(1 + (int)(seed % 2), (sg_padding)(seed % 3));
            spec.classes = 3 + (int)seed * 20;
            case_open(&c, (sg_weights)p, &spec, seed);
            assert_sd(sipdetect_open_memory(&model, c.image, c.bytes, NULL));
            assert_int_equal(sipdetect_message_types(model), CASE_TYPES);
            assert_int_equal(sipdetect_max_length(model), CASE_LONGEST);
            assert_int_equal(sipdetect_classes(model), spec.classes);
            assert_int_equal(sipdetect_model_bytes(model), c.bytes);
            assert_string_equal(sipdetect_precision(model), sg_weights_name((sg_weights)p));
            assert_string_equal(sipdetect_padding(model), sg_padding_name(spec.padding));
            if (seed == 3)
                same_texts(&c.model, model);
            same_classes(&c.model, model);
            same_limits(&c.model, model);
            assert_ok(sd_file_take(&file, c.image, c.bytes));
            assert_int_equal(file.trie.nodes, sg_prefixes_count(c.prefixes));
            same_trie(&c, &file.trie, 0, 0);
            sd_file_close(&file);
            sipdetect_close(model);
            case_close(&c);
        }
}

static void what_a_model_lacks_is_left_out(void **state)
{
    (void)state;
    sipm_case c;
    sipdetect_model *model;
    sipdetect_worker *worker;
    sipdetect_verdict v;
    const sg_spec spec = case_spec(1, SG_PADDING_POST);
    const uint16_t unknown[] = {5, 5, 5}, length = 3;
    double s, k;
    case_open(&c, SG_WEIGHTS_FP32, &spec, 3);
    c.model.has_thresholds = c.model.has_kmeans = false;
    c.model.collapsed = true;
    strcpy(c.model.type_rule, "cseq/1");
    free(c.model.prefix_limit);
    free(c.image);
    c.model.prefix_limit = NULL;
    assert_ok(sg_sipm_image(&c.model, c.prefixes, &c.scores, SG_WEIGHTS_FP32, &c.image, &c.bytes));
    assert_sd(sipdetect_open_memory(&model, c.image, c.bytes, NULL));
    assert_string_equal(sipdetect_type_rule(model), "cseq/1");
    assert_string_equal(sipdetect_retransmissions(model), "collapse");
    for (int n = 0; n <= CASE_LONGEST; n++) {
        sipdetect_limits(model, n, &s, &k);
        assert_true(isnan(s) && isnan(k));
    }
    assert_sd(sipdetect_worker_open(&worker, model, NULL));
    assert_sd(sipdetect_score(worker, unknown, &length, 1, 3, &v));
    assert_int_equal(v.scored, 1);
    assert_int_equal(v.abnormal, -1);
    assert_int_equal(v.abnormal_either, -1);
    assert_int_equal(v.abnormal_beginning, -1);
    assert_int_equal(v.low_cluster, -1);
    sipdetect_worker_close(worker);
    sipdetect_close(model);
    case_close(&c);
}

/* ---- files ---- */

static char *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    char *data = malloc(1 << 20);
    assert_non_null(file);
    *bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

static void same_bytes_for_the_same_model(void **state)
{
    (void)state;
    sipm_case c;
    char folder[128], path[2][160];
    char *data[2];
    size_t bytes[2];
    sg_export_accuracy accuracy;
    const sg_spec spec = case_spec(2, SG_PADDING_MASK);
    case_open(&c, SG_WEIGHTS_FP32, &spec, 3);
    make_test_folder(folder);
    for (int p = 0; p < SD_PRECISIONS; p++) {
        for (int i = 0; i < 2; i++) {
            snprintf(path[i], sizeof path[i], "%s/%d.sipm", folder, i);
            assert_ok(sg_export_sipm(&c.model, c.engine, (sg_weights)p, path[i], i ? &accuracy : NULL));
            data[i] = read_file(path[i], &bytes[i]);
        }
        assert_int_equal(bytes[0], bytes[1]);
        assert_memory_equal(data[0], data[1], bytes[0]);
        if (p == SD_FP32) {
            assert_int_equal(bytes[0], c.bytes);
            assert_memory_equal(data[0], c.image, c.bytes);
        }
        assert_int_equal(accuracy.beginnings, sg_prefixes_count(c.prefixes) - 1);
        assert_true(accuracy.probability_max < (p == SD_FP32 ? 1e-5 : 0.5));
        assert_true(accuracy.probability_max > 0);
        assert_true(accuracy.agreement > (p == SD_FP32 ? 0.9 : 0.5) && accuracy.agreement <= 1);
        assert_true(accuracy.class_agreement > (p == SD_FP32 ? 0.999 : 0.8));
        for (int i = 0; i < 2; i++) {
            free(data[i]);
            unlink(path[i]);
        }
    }
    assert_int_equal(rmdir(folder), 0); /* nothing else was left */
    case_close(&c);
}

static void targets_that_cannot_be_written(void **state)
{
    (void)state;
    sipm_case c;
    char folder[128], path[160];
    const sg_spec spec = case_spec(1, SG_PADDING_POST);
    case_open(&c, SG_WEIGHTS_FP32, &spec, 3);
    make_test_folder(folder);
    snprintf(path, sizeof path, "%s/none/m.sipm", folder);
    assert_fails(SG_E_IO, "No such file", sg_export_sipm(&c.model, c.engine, SG_WEIGHTS_FP32, path, NULL));
    snprintf(path, sizeof path, "%s/m.sipm", folder);
    memset(c.model.class_train, 0, CASE_CLASSES * sizeof *c.model.class_train);
    assert_fails(SG_E_CONFIG, "no train dialogs",
                 sg_export_sipm(&c.model, c.engine, SG_WEIGHTS_FP32, path, NULL));
    c.model.class_train[0] = 1;
    free(c.model.alphabet[2]);
    c.model.alphabet[2] = strdup("");
    assert_fails(SG_E_CONFIG, "alphabet", sg_export_sipm(&c.model, c.engine, SG_WEIGHTS_FP32, path, NULL));
    free(c.model.alphabet[2]);
    c.model.alphabet[2] = strdup("BYE");
    c.model.params.data[5] = NAN;
    assert_fails(SG_E_NUMERIC, "lstm_0/kernel",
                 sg_export_sipm(&c.model, c.engine, SG_WEIGHTS_FP32, path, NULL));
    assert_int_equal(rmdir(folder), 0); /* nothing was left */
    case_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(what_a_model_lacks_is_left_out),
        cmocka_unit_test(same_bytes_for_the_same_model),
        cmocka_unit_test(targets_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
