/* Verdicts against what src/detect says of the same dialogs by the engine that the model was trained on. */
#include "sipm_case.h"

#include "detect/kmeans.h"
#include "detect/threshold.h"

enum { DIALOGS = 60 };

typedef struct {
    sipm_case c;
    sipdetect_model *model;
    sipdetect_worker *worker;
} fixture;

static void open_fixture(fixture *f, int layers, sg_padding padding, const sipdetect_worker_options *options)
{
    const sg_spec spec = case_spec(layers, padding);
    case_open(&f->c, SG_WEIGHTS_FP32, &spec, 3);
    assert_sd(sipdetect_open_memory(&f->model, f->c.image, f->c.bytes, NULL));
    assert_sd(sipdetect_worker_open(&f->worker, f->model, options));
}

static void close_fixture(fixture *f)
{
    sipdetect_worker_close(f->worker);
    sipdetect_close(f->model);
    case_close(&f->c);
}

/* ---- the reference ---- */

static bool near(const sg_threshold *limits, const sd_node_score *s)
{
    return fabs(s->skewness - limits->skewness.lambda) < 1e-5 ||
           fabs(s->kurtosis - limits->kurtosis.lambda) < 1e-5;
}

static sg_threshold limits_of(const sg_model *m, int length, bool whole)
{
    sg_threshold t = {0};
    whole = whole || length >= m->spec.max_length; /* watch/follow_network.c */
    t.skewness.lambda = whole ? m->lambda_skewness : m->prefix_limit[length - 1].skewness;
    t.kurtosis.lambda = whole ? m->lambda_kurtosis : m->prefix_limit[length - 1].kurtosis;
    return t;
}

static void check_scores(const sipm_case *c, const uint16_t *types, int length, const sipdetect_verdict *v,
                         bool whole)
{
    const sg_model *m = &c->model;
    const sd_node_score s = case_score(c, types, length);
    sg_kmeans kmeans = {.clusters = 2};
    assert_int_equal(v->scored, 1);
    assert_int_equal(v->best_class, s.best_class);
    assert_true(fabsf(v->probability - s.probability) < 1e-5f);
    assert_true(fabs(v->skewness - s.skewness) < 1e-5 && fabs(v->kurtosis - s.kurtosis) < 1e-5);
    sg_threshold t = limits_of(m, length, false);
    if (v->known_prefix)
        assert_int_equal(v->abnormal_beginning, 0);
    else if (!near(&t, &s))
        assert_int_equal(v->abnormal_beginning,
                         sg_threshold_is_abnormal(&t, SG_RULE_BOTH, s.skewness, s.kurtosis));
    t = limits_of(m, length, true);
    if (whole && !near(&t, &s)) {
        assert_int_equal(v->abnormal, sg_threshold_is_abnormal(&t, SG_RULE_BOTH, s.skewness, s.kurtosis));
        assert_int_equal(v->abnormal_either,
                         sg_threshold_is_abnormal(&t, SG_RULE_EITHER, s.skewness, s.kurtosis));
    }
    memcpy(kmeans.centroid, m->centroid, sizeof m->centroid);
    if (whole && fabs(sg_kmeans_score(&kmeans, s.skewness, s.kurtosis)) > 1e-5)
        assert_int_equal(v->low_cluster, sg_kmeans_assign(&kmeans, s.skewness, s.kurtosis) == 0);
}

static void check_trie(const sipm_case *c, const uint16_t *types, int length, const sipdetect_verdict *v)
{
    const int32_t node = sg_prefixes_find(c->prefixes, types, length);
    assert_int_equal(v->position, length);
    assert_int_equal(v->known_prefix, node >= 0);
    assert_int_equal(v->known_dialog, sg_prefixes_ending(c->prefixes, node) > 0);
    assert_int_equal(v->train_dialogs, sg_prefixes_passing(c->prefixes, node));
}

/* ---- tests ---- */

static void same_verdict(const sipdetect_verdict *a, const sipdetect_verdict *b)
{
    sipdetect_verdict x = *a, y = *b;
    assert_true(fabsf(x.probability - y.probability) < 1e-6f);
    assert_true(fabs(x.skewness - y.skewness) < 1e-6 && fabs(x.kurtosis - y.kurtosis) < 1e-6);
    x.probability = y.probability = 0;
    x.skewness = y.skewness = x.kurtosis = y.kurtosis = 0;
    assert_memory_equal(&x, &y, sizeof x);
}

/* Message by message, and as sequences at once. */
static void verdicts_are_those_of_detect(void **state)
{
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        fixture f;
        sipdetect_dialog *dialog;
        int seen[2] = {0}, known = 0;
        sg_random random = sg_random_open(11, SG_RANDOM_BENCH, (uint32_t)kind);
        open_fixture(&f, 1 + kind / 3, (sg_padding)(kind % 3), NULL);
        assert_sd(sipdetect_dialog_open(&dialog, f.model));
        for (int d = 0; d < DIALOGS; d++) {
            uint16_t types[CASE_LONGEST];
            const int length = case_walk(&f.c, &random, types);
            sipdetect_verdict v, once;
            sipdetect_dialog_reset(dialog);
            for (int t = 1; t <= length; t++) {
                uint16_t cut = (uint16_t)t;
                assert_sd(sipdetect_push(f.worker, dialog, types[t - 1], &v));
                check_trie(&f.c, types, t, &v);
                check_scores(&f.c, types, t, &v, true);
                assert_int_equal(v.from_file, v.known_prefix);
                assert_sd(sipdetect_score(f.worker, types, &cut, 1, CASE_LONGEST, &once));
                same_verdict(&v, &once);
                seen[v.abnormal]++;
                known += v.known_prefix;
            }
            assert_sd(sipdetect_end(f.worker, dialog, &once));
            same_verdict(&v, &once);
        }
        assert_true(seen[0] > 30 && seen[1] > 30 && known > 100);
        sipdetect_dialog_close(dialog);
        close_fixture(&f);
    }
}

/* A worker that runs the network for all says the same as one that reads the file. */
static void the_file_holds_what_the_network_says(void **state)
{
    (void)state;
    const sipdetect_worker_options all = {.batch = 7, .recompute = 1};
    fixture f;
    sipdetect_worker *other;
    uint16_t types[DIALOGS][CASE_LONGEST], lengths[DIALOGS];
    sipdetect_verdict v[DIALOGS], w[DIALOGS];
    sg_random random = sg_random_open(12, SG_RANDOM_BENCH, 0);
    open_fixture(&f, 2, SG_PADDING_POST, NULL);
    assert_sd(sipdetect_worker_open(&other, f.model, &all));
    for (int d = 0; d < DIALOGS; d++)
        lengths[d] = (uint16_t)case_walk(&f.c, &random, types[d]);
    assert_sd(sipdetect_score(f.worker, types[0], lengths, DIALOGS, CASE_LONGEST, v));
    assert_sd(sipdetect_score(other, types[0], lengths, DIALOGS, CASE_LONGEST, w));
    int from_file = 0;
    for (int d = 0; d < DIALOGS; d++) {
        from_file += v[d].from_file;
        assert_int_equal(w[d].from_file, 0);
        check_scores(&f.c, types[d], lengths[d], &w[d], true);
        check_scores(&f.c, types[d], lengths[d], &v[d], true);
    }
    assert_true(from_file > 5 && from_file < DIALOGS);
    sipdetect_worker_close(other);
    close_fixture(&f);
}

static void batches_of_any_size(void **state)
{
    (void)state;
    enum { MANY = 500 };
    fixture f;
    static sipdetect_verdict one[MANY], many[MANY], deferred;
    static uint16_t types[MANY][CASE_LONGEST];
    sipdetect_dialog *dialogs[MANY];
    sg_random random = sg_random_open(13, SG_RANDOM_BENCH, 0);
    open_fixture(&f, 1, SG_PADDING_POST, NULL);
    for (int d = 0; d < MANY; d++) {
        const bool again = d > 10 && d % 3 == 0; /* dialogs that are equal */
        int length = again ? one[d - 9].position : case_walk(&f.c, &random, types[d]);
        if (again)
            memcpy(types[d], types[d - 9], sizeof types[d]);
        assert_sd(sipdetect_dialog_open(&dialogs[d], f.model));
        for (int t = 0; t < length; t++)
            assert_sd(sipdetect_push(f.worker, dialogs[d], types[d][t], t + 1 == length ? &one[d] : NULL));
    }
    for (int batch = 1; batch <= MANY; batch = batch * 3 + 1) {
        const sipdetect_worker_options options = {.batch = batch, .defer = 1};
        sipdetect_worker *worker;
        assert_sd(sipdetect_worker_open(&worker, f.model, &options));
        memset(many, 0x55, sizeof many);
        for (int d = 0; d < MANY; d++) {
            sipdetect_dialog_reset(dialogs[d]);
            for (int t = 0; t < one[d].position; t++)
                assert_sd(sipdetect_push(worker, dialogs[d], types[d][t], &deferred));
            assert_int_equal(deferred.scored, deferred.known_prefix);
            assert_int_equal(deferred.abnormal == -1, !deferred.known_prefix);
            assert_true(deferred.scored || (isnan(deferred.skewness) && deferred.best_class == -1));
        }
        assert_sd(sipdetect_score_dialogs(worker, dialogs, MANY, many));
        for (int d = 0; d < MANY; d++)
            same_verdict(&one[d], &many[d]);
        sipdetect_worker_close(worker);
    }
    for (int d = 0; d < MANY; d++)
        sipdetect_dialog_close(dialogs[d]);
    assert_sd(sipdetect_score_dialogs(f.worker, NULL, 0, NULL));
    close_fixture(&f);
}

static void probabilities_are_the_engines(void **state)
{
    (void)state;
    fixture f;
    const sipdetect_worker_options options = {.batch = 7};
    uint16_t types[DIALOGS][CASE_LONGEST] = {{0}}, lengths[DIALOGS];
    static float p[DIALOGS * CASE_CLASSES];
    sg_random random = sg_random_open(14, SG_RANDOM_BENCH, 0);
    open_fixture(&f, 2, SG_PADDING_PRE, &options);
    for (int d = 0; d < DIALOGS; d++)
        lengths[d] = (uint16_t)case_walk(&f.c, &random, types[d]);
    assert_sd(sipdetect_probabilities(f.worker, types[0], lengths, DIALOGS, CASE_LONGEST, p));
    for (int d = 0; d < DIALOGS; d++) {
        sg_sequences set;
        sg_outputs out;
        memset(types[d] + lengths[d], 0, (size_t)(CASE_LONGEST - lengths[d]) * sizeof types[0][0]);
        assert_ok(sg_sequences_make(&set, &f.c.model.spec, types[d], &lengths[d], 1));
        assert_ok(sg_outputs_alloc(&out, 1, CASE_CLASSES, true));
        assert_ok(sg_engine_infer_all(f.c.engine, &set, &out));
        for (int i = 0; i < CASE_CLASSES; i++)
            assert_true(fabsf(p[d * CASE_CLASSES + i] - out.probabilities[i]) < 1e-5f);
        sg_outputs_free(&out);
        sg_sequences_free(&set);
    }
    close_fixture(&f);
}

/* What watch does with them: no place in the dialog, outside the trie from then on, never judged as a whole.
 */
static void messages_without_a_type(void **state)
{
    (void)state;
    fixture f;
    sipdetect_dialog *dialog;
    sipdetect_verdict v;
    open_fixture(&f, 1, SG_PADDING_POST, NULL);
    const uint16_t *types = f.c.model.class_sequence;
    assert_sd(sipdetect_dialog_open(&dialog, f.model));
    assert_sd(sipdetect_push(f.worker, dialog, types[0], &v));
    assert_int_equal(v.known_prefix, 1);
    assert_sd(sipdetect_push(f.worker, dialog, 0, &v));
    assert_int_equal(v.position, 1);
    assert_int_equal(v.untyped, 1);
    assert_int_equal(v.scored, 0);
    assert_int_equal(v.known_prefix, 0);
    assert_int_equal(v.train_dialogs, 0);
    assert_int_equal(v.abnormal_beginning, -1);
    assert_sd(sipdetect_push_name(f.worker, dialog, "ACK", &v));
    const uint16_t both[] = {types[0], 2};
    assert_int_equal(v.position, 2);
    assert_int_equal(v.known_prefix, 0);
    check_scores(&f.c, both, 2, &v, false);
    for (int end = 0; end <= 1; end++) {
        assert_int_equal(v.untyped, 1);
        assert_int_equal(v.abnormal, -1);
        assert_int_equal(v.abnormal_either, -1);
        assert_int_equal(v.low_cluster, -1);
        assert_true(v.abnormal_beginning >= 0);
        assert_sd(sipdetect_end(f.worker, dialog, &v));
    }
    sipdetect_dialog_reset(dialog);
    assert_sd(sipdetect_push(f.worker, dialog, types[0], &v));
    assert_int_equal(v.untyped, 0);
    assert_int_equal(v.known_prefix, 1);
    sipdetect_dialog_close(dialog);
    close_fixture(&f);
}

static void dialogs_that_are_too_long(void **state)
{
    (void)state;
    fixture f;
    sipdetect_dialog *dialog;
    sipdetect_verdict v;
    open_fixture(&f, 1, SG_PADDING_POST, NULL);
    assert_sd(sipdetect_dialog_open(&dialog, f.model));
    assert_sd(sipdetect_end(f.worker, dialog, &v)); /* an empty one is how all begin */
    assert_int_equal(v.known_prefix, 1);
    assert_int_equal(v.scored, 0);
    for (int t = 1; t <= CASE_LONGEST + 3; t++) {
        assert_sd(sipdetect_push(f.worker, dialog, 5, &v));
        assert_int_equal(v.position, t);
        assert_int_equal(v.too_long, t > CASE_LONGEST);
        assert_int_equal(v.scored, t <= CASE_LONGEST);
        if (t == CASE_LONGEST && !v.known_prefix) /* nothing can follow: judged as whole */
            assert_int_equal(v.abnormal_beginning, v.abnormal);
    }
    for (int end = 0; end <= 1; end++) {
        assert_int_equal(v.abnormal, -1);
        assert_int_equal(v.abnormal_beginning, -1);
        assert_int_equal(v.known_prefix, 0);
        assert_sd(sipdetect_end(f.worker, dialog, &v));
    }
    sipdetect_dialog_close(dialog);
    close_fixture(&f);
}

static void text_off_the_wire(void **state)
{
    (void)state;
    fixture f;
    sipdetect_dialog *dialog;
    sipdetect_verdict v, w;
    uint16_t type;
    static const char invite[] = "INVITE sip:b@h SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n",
                      not_found[] = "SIP/2.0 404 Not Found\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n",
                      trying[] = "SIP/2.0 100 Trying\r\nCSeq: 1 INVITE\r\n\r\n";
    open_fixture(&f, 1, SG_PADDING_POST, NULL);
    assert_sd(sipdetect_type_of_sip(f.model, invite, sizeof invite - 1, &type));
    assert_int_equal(type, 1);
    assert_sd(sipdetect_type_of_sip(f.model, not_found, sizeof not_found - 1, &type));
    assert_int_equal(type, 5); /* 4xx-other */
    assert_sd(sipdetect_type_of_sip(f.model, trying, sizeof trying - 1, &type));
    assert_int_equal(type, 0);
    assert_sd(sipdetect_dialog_open(&dialog, f.model));
    assert_sd(sipdetect_push_sip(f.worker, dialog, invite, sizeof invite - 1, &v));
    assert_int_equal(v.position, 1);
    assert_sd_fails(SIPDETECT_E_MESSAGE, "start line", sipdetect_push_sip(f.worker, dialog, "hello", 5, &v));
    assert_sd_fails(SIPDETECT_E_MESSAGE, "start line", sipdetect_push_sip(f.worker, dialog, NULL, 0, &v));
    assert_sd(sipdetect_push_sip(f.worker, dialog, not_found, sizeof not_found - 1, &v));
    assert_int_equal(v.position, 2);
    sipdetect_dialog_reset(dialog);
    assert_sd(sipdetect_push_name(f.worker, dialog, "INVITE", NULL));
    assert_sd(sipdetect_push_name(f.worker, dialog, "404", &w));
    same_verdict(&v, &w);
    sipdetect_dialog_close(dialog);
    close_fixture(&f);
}

static void calls_that_cannot_be_carried_out(void **state)
{
    (void)state;
    fixture f, other;
    sipdetect_dialog *dialog;
    sipdetect_worker *worker;
    sipdetect_verdict v;
    uint16_t types[CASE_LONGEST + 1] = {1, 2, 3}, length = 3;
    open_fixture(&f, 1, SG_PADDING_POST, NULL);
    open_fixture(&other, 1, SG_PADDING_POST, NULL);
    assert_sd(sipdetect_dialog_open(&dialog, f.model));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "another model", sipdetect_push(other.worker, dialog, 1, &v));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "another model", sipdetect_end(other.worker, dialog, &v));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "message type is 7", sipdetect_push(f.worker, dialog, 7, &v));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "without a name", sipdetect_push_name(f.worker, dialog, NULL, &v));
    assert_sd(sipdetect_end(f.worker, dialog, &v));
    assert_int_equal(v.position, 0); /* as before */
    types[1] = 0;
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "message type is 0",
                    sipdetect_score(f.worker, types, &length, 1, 3, &v));
    types[1] = CASE_TYPES + 1;
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "message type is 7",
                    sipdetect_score(f.worker, types, &length, 1, 3, &v));
    length = CASE_LONGEST + 1;
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "12 messages", sipdetect_score(f.worker, types, &length, 1, 3, &v));
    length = 0;
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "0 messages", sipdetect_score(f.worker, types, &length, 1, 3, &v));
    assert_sd_fails(SIPDETECT_E_ARGUMENT, "-1", sipdetect_score(f.worker, types, &length, -1, 3, &v));
    for (int batch = -1; batch <= 4097; batch += 4098) {
        const sipdetect_worker_options options = {.batch = batch};
        assert_sd_fails(SIPDETECT_E_ARGUMENT, "batch", sipdetect_worker_open(&worker, f.model, &options));
        assert_null(worker);
    }
    sipdetect_dialog_close(dialog);
    sipdetect_dialog_close(NULL);
    sipdetect_worker_close(NULL);
    sipdetect_close(NULL);
    close_fixture(&f);
    close_fixture(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts_are_those_of_detect),
        cmocka_unit_test(the_file_holds_what_the_network_says),
        cmocka_unit_test(batches_of_any_size),
        cmocka_unit_test(probabilities_are_the_engines),
        cmocka_unit_test(messages_without_a_type),
        cmocka_unit_test(dialogs_that_are_too_long),
        cmocka_unit_test(text_off_the_wire),
        cmocka_unit_test(calls_that_cannot_be_carried_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
