/* The configuration table: defaults are the paper's, files and assignments are checked, dumps read back. */
#include "base/files.h"
#include "testing.h"
#include "train/config.h"

static void test_defaults(void **state)
{
    (void)state;
    sg_config c;
    assert_ok(sg_config_defaults(&c));
    assert_int_equal(c.epochs, 500);
    assert_int_equal(c.batch_size, 933);
    assert_int_equal(c.units, 0);
    assert_true(c.learning_rate == 0.001 && c.epsilon == 1e-7 && c.forget_bias == 1 && c.clip_norm == 0);
    assert_int_equal(c.padding, SG_PADDING_POST);
    assert_int_equal(c.recurrent_init, SG_RECURRENT_ORTHOGONAL);
}

static void test_models(void **state)
{
    (void)state;
    sg_config c;
    assert_ok(sg_config_defaults(&c));
    assert_ok(sg_config_set_model(&c, "2.1"));
    assert_true(c.layers == 2 && c.dropout == 0.5);
    assert_ok(sg_config_set_model(&c, "1.0"));
    assert_true(c.layers == 1 && c.dropout == 0);
    assert_int_equal(c.padding, SG_PADDING_POST);
    assert_ok(sg_config_set_model(&c, "2.0-mask"));
    assert_true(c.layers == 2 && c.dropout == 0 && c.padding == SG_PADDING_MASK);
    assert_ok(sg_config_set_model(&c, "1.1-pre"));
    assert_true(c.dropout == 0.5 && c.padding == SG_PADDING_PRE);
    assert_fails(SG_E_CONFIG, "unknown model '1.0-left'", sg_config_set_model(&c, "1.0-left"));
    assert_fails(SG_E_CONFIG, "unknown model '1.0x'", sg_config_set_model(&c, "1.0x"));
    assert_fails(SG_E_CONFIG, "unknown model '3.0'", sg_config_set_model(&c, "3.0"));
}

static void test_text_reads_back(void **state)
{
    (void)state;
    sg_config a, b;
    char *text, names[SG_TEXT_MAX];
    assert_ok(sg_config_defaults(&a));
    assert_ok(sg_options_assign(sg_config_table, &a, "train.learning_rate=0.00030000000000000003"));
    assert_ok(sg_options_assign(sg_config_table, &a, "model.padding=mask"));
    assert_ok(sg_options_assign(sg_config_table, &a, "data.corpus=a folder/c.h5"));
    assert_ok(sg_config_text(&a, &text));
    assert_ok(sg_config_defaults(&b));
    assert_ok(sg_options_read_ini_text(sg_config_table, &b, text, "text"));
    assert_int_equal(sg_options_differences(sg_config_table, &a, &b, NULL, names, sizeof names), 0);
    b.epochs = 3;
    b.padding = SG_PADDING_PRE;
    assert_int_equal(sg_options_differences(sg_config_table, &a, &b, NULL, names, sizeof names), 2);
    assert_string_equal(names, "model.padding, train.epochs");
    free(text);
}

/* The longest value that is accepted survives the file. */
static void test_long_values(void **state)
{
    (void)state;
    sg_config a, b;
    char *text, value[300] = {0};
    size_t length = 250;
    assert_ok(sg_config_defaults(&a));
    memset(value, 'x', length);
    assert_fails(SG_E_CONFIG, "longer than",
                 sg_options_set(sg_config_table, &a, "data", "corpus", value, SG_E_CONFIG));
    while (sg_options_set(sg_config_table, &a, "data", "corpus", value, SG_E_CONFIG) != SG_OK)
        value[--length] = '\0';
    assert_true(length > 180);
    assert_ok(sg_config_text(&a, &text));
    assert_ok(sg_config_defaults(&b));
    assert_ok(sg_options_read_ini_text(sg_config_table, &b, text, "text"));
    assert_string_equal(a.corpus, b.corpus);
    free(text);
}

static void test_wrong_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } wrong[] = {{"[train]\nepochs = 0\n", "f:2: train.epochs = 0: must be from 1"},
                 {"[train]\nepoch = 3\n", "did you mean train.epochs?"},
                 {"[trian]\nepochs = 3\n", "did you mean [train]?"},
                 {"[train]\nlearning_rate = nan\n", "expected a number"},
                 {"[train]\nbatch_size = -5\n", "must be from 1"},
                 {"[train]\nbatch_size = 93.5\n", "expected a whole number"},
                 {"[model]\npadding = left\n", "post|mask|pre"},
                 {"[model]\ndropout = 1\n", "must be from 0 to 0.99"},
                 {"[model]\nlearning_rate = 1\n", "did you mean train.learning_rate?"},
                 {"[train]\nkeep_best = maybe\n", "true or false"},
                 {"epochs = 3\n", "before any [section]"},
                 {"[train]\nthis is no line\n", "f:2: not a [section]"},
                 {"no line\n[train]\nepochs = 0\n", "f:1: not a [section]"},
                 {"; a comment\n\n[train]\n\nepochs = 0", "f:5: train.epochs"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sg_config c;
        assert_ok(sg_config_defaults(&c));
        assert_fails(SG_E_CONFIG, wrong[i].part,
                     sg_options_read_ini_text(sg_config_table, &c, wrong[i].text, "f"));
    }
}

/* Every configuration that ships can be read. */
static void test_shipped_files(void **state)
{
    (void)state;
    static const char *const names[] = {"model1.0", "model1.1",   "model2.0",  "model2.1",
                                        "small",    "quickstart", "experiment"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        sg_config c;
        snprintf(path, sizeof path, "%s/../../configs/%s.ini", SG_TEST_DATA, names[i]);
        assert_ok(sg_config_defaults(&c));
        assert_ok(sg_options_read_ini(sg_config_table, &c, path));
        assert_true(c.forget_bias == 5 && c.learning_rate < 0.0021 && c.clip_norm == 1);
    }
}

/* The changes that configs/model*.ini make to the printed settings, and nothing else, are taken back. */
static void test_overrides(void **state)
{
    (void)state;
    static const char *const files[] = {"model2.1", "paper-literal", "batch93"};
    static const char *const differs[] = {
        "model.forget_bias, train.last_batch, train.learning_rate, train.lr_schedule, train.clip_norm",
        "",
        "train.batch_size",
    };
    sg_config c, printed;
    char path[512], names[512];
    assert_ok(sg_config_defaults(&c));
    assert_ok(sg_config_defaults(&printed));
    assert_ok(sg_config_set_model(&printed, "2.1"));
    assert_ok(sg_options_assign(sg_config_table, &printed, "data.corpus=corpora/paper.h5"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/../../configs/%s.ini", SG_TEST_DATA, files[i]);
        assert_ok(sg_options_read_ini(sg_config_table, &c, path));
        sg_options_differences(sg_config_table, &c, &printed, NULL, names, sizeof names);
        assert_string_equal(names, differs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),        cmocka_unit_test(test_models),
        cmocka_unit_test(test_text_reads_back), cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_wrong_values),    cmocka_unit_test(test_shipped_files),
        cmocka_unit_test(test_overrides)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
