#include "base/options.h"
#include "testing.h"

typedef struct {
    bool flag;
    int64_t whole;
    double real;
    char text[SG_TEXT_MAX];
    int choice;
    sg_text_list list;
} settings;

#define AT(member) SG_KEY(settings, member)

static const sg_option table[] = {
    SG_FLAG(AT(flag), "a flag", .fallback = "true", .section = "first"),
    SG_INT(AT(whole), "5", -10, 100, "a whole number", .section = "first"),
    SG_REAL(AT(real), "0.1", 0, 1, "a number", .section = "second"),
    SG_TEXT(AT(text), "TEXT", "a text", .fallback = "none", .section = "second"),
    SG_ENUM(AT(choice), "red", "red|green|blue", "a choice", .section = "second"),
    SG_OPTIONS_END,
};

static const sg_option words_table[] = {
    SG_FLAG(SG_AT("dry_run", settings, flag), "a flag", .letter = 'n'),
    SG_INT(SG_AT("seed", settings, whole), "1", 0, 100, "a seed", .argument = "S", .letter = 's'),
    SG_TEXT(SG_AT("out", settings, text), "FILE", "a file", .letter = 'o'),
    SG_ENUM(SG_AT("colour", settings, choice), "red", "red|green|blue", "a choice"),
    SG_LIST(SG_AT("set", settings, list), "A=B", "several"),
    SG_OPTIONS_END,
};

static void sets_defaults(void **state)
{
    (void)state;
    settings s = {0};
    assert_ok(sg_options_defaults(table, &s));
    assert_true(s.flag);
    assert_int_equal(s.whole, 5);
    assert_true(s.real == 0.1);
    assert_string_equal(s.text, "none");
    assert_int_equal(s.choice, 0);
}

static void checks_values(void **state)
{
    (void)state;
    settings s = {0};
    assert_ok(sg_options_assign(table, &s, "first.whole=-10"));
    assert_int_equal(s.whole, -10);
    assert_fails(SG_E_USAGE, "must be from -10 to 100", sg_options_assign(table, &s, "first.whole=101"));
    assert_fails(SG_E_USAGE, "whole number", sg_options_assign(table, &s, "first.whole=1.5"));
    assert_fails(SG_E_USAGE, "whole number", sg_options_assign(table, &s, "first.whole="));
    assert_fails(SG_E_USAGE, "whole number",
                 sg_options_assign(table, &s, "first.whole=99999999999999999999"));
    assert_fails(SG_E_USAGE, "must be from 0 to 1", sg_options_assign(table, &s, "second.real=1.01"));
    assert_fails(SG_E_USAGE, "expected a number", sg_options_assign(table, &s, "second.real=nan"));
    assert_fails(SG_E_USAGE, "expected a number", sg_options_assign(table, &s, "second.real=inf"));
    assert_fails(SG_E_USAGE, "true or false", sg_options_assign(table, &s, "first.flag=maybe"));
    assert_fails(SG_E_USAGE, "red|green|blue", sg_options_assign(table, &s, "second.choice=gre"));
    assert_ok(sg_options_assign(table, &s, "second.choice=green"));
    assert_int_equal(s.choice, 1);
    assert_ok(sg_options_assign(table, &s, "second.text=a=b.c"));
    assert_string_equal(s.text, "a=b.c");
}

static void names_the_nearest_known_key(void **state)
{
    (void)state;
    settings s = {0};
    assert_fails(SG_E_USAGE, "did you mean first.whole?", sg_options_assign(table, &s, "first.hole=1"));
    assert_fails(SG_E_USAGE, "did you mean [second]?", sg_options_assign(table, &s, "secnd.real=1"));
    assert_fails(SG_E_USAGE, "did you mean second.real?", sg_options_assign(table, &s, "first.real=1"));
    assert_fails(SG_E_USAGE, "section.key=value", sg_options_assign(table, &s, "whole=1"));
    assert_fails(SG_E_USAGE, "section.key=value", sg_options_assign(table, &s, "first.whole"));
    static const char *const known[] = {"alpha", "beta"};
    assert_string_equal(sg_nearest_name("aplha", known, 2), "alpha");
    assert_null(sg_nearest_name("gamma-ray", known, 2));
}

static void reads_ini_texts(void **state)
{
    (void)state;
    settings s = {0};
    assert_ok(sg_options_read_ini_text(
        table, &s, "; a remark\n[first]\nwhole = 7 ; and another\n\n[second]\nreal=0.25\n", "x.ini"));
    assert_int_equal(s.whole, 7);
    assert_true(s.real == 0.25);
    assert_fails(SG_E_CONFIG, "x.ini:2: first.whole = 700",
                 sg_options_read_ini_text(table, &s, "[first]\nwhole=700\n", "x.ini"));
    assert_fails(SG_E_CONFIG, "x.ini:1: key whole stands before any [section]",
                 sg_options_read_ini_text(table, &s, "whole=7\n", "x.ini"));
    assert_fails(SG_E_CONFIG,
                 "x.ini:2:", sg_options_read_ini_text(table, &s, "[first]\nnonsense\n", "x.ini"));
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    settings a = {0}, b = {0};
    char *text = NULL, differences[256];
    size_t size;
    assert_ok(sg_options_defaults(table, &a));
    a.real = 1.0 / 3;
    a.whole = -3;
    a.choice = 2;
    a.flag = false;
    for (int comments = 0; comments < 2; comments++) {
        FILE *f = open_memstream(&text, &size);
        sg_options_write_ini(table, &a, f, comments);
        fclose(f);
        assert_int_equal(strstr(text, "a whole number") != NULL, comments);
        memset(&b, 0, sizeof b);
        assert_ok(sg_options_read_ini_text(table, &b, text, "x.ini"));
        free(text);
        assert_int_equal(sg_options_differences(table, &a, &b, NULL, differences, sizeof differences), 0);
        assert_true(a.real == b.real);
    }
    b.whole = 4;
    b.choice = 0;
    assert_int_equal(sg_options_differences(table, &a, &b, NULL, differences, sizeof differences), 2);
    assert_string_equal(differences, "first.whole, second.choice");
}

static sg_status parse(settings *s, sg_text_list *words, int argc, const char **argv)
{
    memset(s, 0, sizeof *s);
    words->count = 0;
    sg_status status = sg_options_defaults(words_table, s);
    return status == SG_OK ? sg_options_command_line(words_table, table, s, argc, (char **)argv, words)
                           : status;
}

#define PARSE(s, words, ...)                                                           \
    parse((s), (words), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), \
          (const char *[]){__VA_ARGS__})

static void reads_command_lines(void **state)
{
    (void)state;
    settings s;
    sg_text_list words = {0};
    assert_ok(PARSE(&s, &words, "in.h5", "--seed", "7", "--out=a=b", "-n", "-", "--colour", "blue"));
    assert_int_equal(s.whole, 7);
    assert_string_equal(s.text, "a=b");
    assert_true(s.flag);
    assert_int_equal(s.choice, 2);
    assert_int_equal(words.count, 2);
    assert_string_equal(words.items[0], "in.h5");
    assert_string_equal(words.items[1], "-");
    assert_ok(PARSE(&s, &words, "--dry-run", "-s", "3", "--", "--seed"));
    assert_true(s.flag);
    assert_int_equal(s.whole, 3);
    assert_string_equal(words.items[0], "--seed");
    assert_ok(PARSE(&s, &words, "--dry_run=no"));
    assert_false(s.flag);
    assert_ok(PARSE(&s, &words, "--set", "a", "--set=b"));
    assert_int_equal(s.list.count, 2);
    assert_string_equal(s.list.items[1], "b");
    free(s.list.items);
    free(words.items);
}

static void refuses_wrong_command_lines(void **state)
{
    (void)state;
    settings s;
    sg_text_list words = {0};
    assert_fails(SG_E_USAGE, "did you mean --seed?", PARSE(&s, &words, "--sed", "1"));
    assert_fails(SG_E_USAGE, "--help lists them", PARSE(&s, &words, "--nonsense"));
    assert_fails(SG_E_USAGE, "-x", PARSE(&s, &words, "-x"));
    assert_fails(SG_E_USAGE, "needs a value (S)", PARSE(&s, &words, "--seed"));
    assert_fails(SG_E_USAGE, "needs a value (red|green|blue)", PARSE(&s, &words, "--colour"));
    assert_fails(SG_E_USAGE, "must be from 0 to 100", PARSE(&s, &words, "--seed", "-1"));
    free(words.items);
}

static void shows_how_to_set_a_setting(void **state)
{
    (void)state;
    static const struct {
        const char *word, *value, *text;
    } wrong[] = {
        {"--whole", "3", "--whole is the setting first.whole: use --set first.whole=3"},
        {"--whole=3", "x", "--whole is the setting first.whole: use --set first.whole=3"},
        {"--first.whole", "-n", "--first.whole is the setting first.whole: use --set first.whole=N"},
        {"--flag", "-n", "--flag is the setting first.flag: use --set first.flag=true"},
        {"--choice", "-n", "--set second.choice=red|green|blue"},
        {"--whol", "3", "unknown option --whol; did you mean the setting first.whole: --set first.whole=3?"},
        {"--first.hole", "3", "did you mean the setting first.whole: --set first.whole=3?"},
        {"--colou", "red", "unknown option --colou; did you mean --colour?"},
        {"--dry-rum", "red", "unknown option --dry-rum; did you mean --dry-run?"},
    };
    settings s;
    sg_text_list words = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_fails(SG_E_USAGE, wrong[i].text, PARSE(&s, &words, wrong[i].word, wrong[i].value));
    assert_fails(SG_E_USAGE, "unknown option --whole; --help lists them",
                 sg_options_command_line(words_table, NULL, &s, 1, (char *[]){"--whole"}, &words));
    free(words.items);
}

static void applies_what_stands_for_settings(void **state)
{
    (void)state;
    static const sg_option shorthand[] = {
        SG_TEXT(SG_AT("n", settings, text), "N", "the whole number", .setting = "first.whole"),
        SG_OPTIONS_END,
    };
    settings given = {0}, config = {.whole = 4};
    assert_ok(sg_options_apply(shorthand, &given, table, &config));
    assert_int_equal(config.whole, 4);
    strcpy(given.text, "7");
    assert_ok(sg_options_apply(shorthand, &given, table, &config));
    assert_int_equal(config.whole, 7);
    strcpy(given.text, "701");
    assert_fails(SG_E_USAGE, "first.whole = 701: must be from -10 to 100",
                 sg_options_apply(shorthand, &given, table, &config));
}

static void asks_for_required_options(void **state)
{
    (void)state;
    static const sg_option required[] = {
        SG_TEXT(SG_AT("two_words", settings, text), "FILE", "a file", .required = true),
        SG_OPTIONS_END,
    };
    settings s = {0};
    assert_fails(SG_E_USAGE, "scan needs --two-words FILE", sg_options_require(required, &s, "scan"));
    strcpy(s.text, "x");
    assert_ok(sg_options_require(required, &s, "scan"));
}

static void prints_help(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    sg_options_help(words_table, f);
    fclose(f);
    assert_non_null(strstr(text, "-s, --seed S"));
    assert_non_null(strstr(text, "--dry-run"));
    assert_non_null(strstr(text, "[red]"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_defaults),
        cmocka_unit_test(checks_values),
        cmocka_unit_test(names_the_nearest_known_key),
        cmocka_unit_test(reads_ini_texts),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(reads_command_lines),
        cmocka_unit_test(refuses_wrong_command_lines),
        cmocka_unit_test(shows_how_to_set_a_setting),
        cmocka_unit_test(applies_what_stands_for_settings),
        cmocka_unit_test(asks_for_required_options),
        cmocka_unit_test(prints_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
