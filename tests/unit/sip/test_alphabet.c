#include "sip/alphabet.h"
#include "sip_case.h"

static sg_sip_message message;

/* "INVITE" or "200 INVITE" as a message. */
static const sg_sip_message *said(const char *what)
{
    static char text[4096];
    const char *space = strchr(what, ' ');
    if (space)
        snprintf(text, sizeof text, "SIP/2.0 %.*s x\r\nCSeq: 1 %s\r\n\r\n", (int)(space - what), what,
                 space + 1);
    else
        snprintf(text, sizeof text, "%s sip:x SIP/2.0\r\nCSeq: 1 %s\r\n\r\n", what, what);
    assert_true(sg_sip_read(&message, text, strlen(text)));
    return &message;
}

static sg_alphabet *alphabet_of(sg_type_rule rule, const char *const *names)
{
    sg_alphabet *alphabet;
    int count = 0;
    while (names[count])
        count++;
    assert_ok(sg_alphabet_open(&alphabet, rule, names, count));
    assert_int_equal(sg_alphabet_size(alphabet), count);
    return alphabet;
}

static void rules_have_names(void **state)
{
    (void)state;
    sg_type_rule rule;
    assert_string_equal(sg_type_rule_name(SG_RULE_PAPER), "paper/1");
    assert_string_equal(sg_type_rule_name(SG_RULE_CSEQ), "cseq/1");
    assert_true(sg_type_rule_parse("cseq", &rule) && rule == SG_RULE_CSEQ);
    assert_true(sg_type_rule_parse("paper/1", &rule) && rule == SG_RULE_PAPER);
    assert_false(sg_type_rule_parse("paper/2", &rule));
}

static void names_of_types(void **state)
{
    (void)state;
    static const struct {
        const char *what, *paper, *cseq;
    } cases[] = {
        {"INVITE", "INVITE", "INVITE"},
        {"200 INVITE", "200", "200-INVITE"},
        {"FOO", "FOO", "FOO"},
        {"299 FOO", "299", "299-FOO"},
        {"20 INVITE", "", ""},
        {"9999 INVITE", "", ""},
        {"000 INVITE", "", ""},
        {"200", "", ""}, /* a method that looks like a code */
        {"200-INVITE", "", ""},
        {"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM", "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM",
         "MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM"},
        {"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM", "", ""},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++)
        for (int rule = 0; rule < SG_RULES; rule++) {
            char name[SG_TYPE_NAME];
            const char *want = rule == SG_RULE_PAPER ? cases[n].paper : cases[n].cseq;
            assert_int_equal(sg_type_name(said(cases[n].what), rule, name), *want != '\0');
            assert_string_equal(name, want);
        }
}

static void finds_ids(void **state)
{
    (void)state;
    sg_fold_counts counts = {0};
    sg_alphabet *paper =
        alphabet_of(SG_RULE_PAPER, (const char *const[]){"INVITE", "200", "FOO", "180", "OTHER-method",
                                                         "4xx-other", "OTHER", NULL});
    assert_int_equal(sg_alphabet_id(paper, said("INVITE"), &counts), 1);
    assert_int_equal(sg_alphabet_id(paper, said("200 INVITE"), &counts), 2);
    assert_int_equal(sg_alphabet_id(paper, said("200 BYE"), &counts), 2);
    assert_int_equal(sg_alphabet_id(paper, said("FOO"), &counts), 3);
    assert_int_equal(counts.exact, 4);
    assert_int_equal(sg_alphabet_id(paper, said("BYE"), &counts), 5);
    assert_int_equal(sg_alphabet_id(paper, said("invite"), &counts), 5);
    assert_int_equal(sg_alphabet_id(paper, said("200"), &counts), 5);
    assert_int_equal(counts.folded_method, 3);
    assert_int_equal(sg_alphabet_id(paper, said("404 INVITE"), &counts), 6);
    assert_int_equal(counts.folded_class, 1);
    assert_int_equal(sg_alphabet_id(paper, said("503 INVITE"), &counts), 7);
    assert_int_equal(sg_alphabet_id(paper, said("999 INVITE"), &counts), 7);
    assert_int_equal(sg_alphabet_id(paper, said("20 INVITE"), NULL), 7);
    assert_int_equal(counts.folded_other, 2);
    assert_int_equal(sg_alphabet_id_of_name(paper, "180"), 4);
    assert_int_equal(sg_alphabet_id_of_name(paper, "486"), 6);
    assert_int_equal(sg_alphabet_id_of_name(paper, "BAR"), 5);
    assert_string_equal(sg_alphabet_name(paper, 6), "4xx-other");
    assert_string_equal(sg_alphabet_name(paper, 8), "?");
    assert_string_equal(sg_alphabet_name(paper, 0), "?");
    sg_alphabet_close(paper);
}

static void folds_as_far_as_it_can(void **state)
{
    (void)state;
    sg_fold_counts counts = {0};
    sg_alphabet *bare = alphabet_of(SG_RULE_PAPER, (const char *const[]){"INVITE", "200", NULL});
    assert_int_equal(sg_alphabet_id(bare, said("BYE"), &counts), 0);
    assert_int_equal(sg_alphabet_id(bare, said("404 INVITE"), &counts), 0);
    assert_int_equal(counts.unknown, 2);
    sg_alphabet_close(bare);
    sg_alphabet *cseq =
        alphabet_of(SG_RULE_CSEQ, (const char *const[]){"200-INVITE", "200-FOO", "2xx-other", NULL});
    assert_int_equal(sg_alphabet_id(cseq, said("200 INVITE"), &counts), 1);
    assert_int_equal(sg_alphabet_id(cseq, said("200 FOO"), &counts), 2);
    assert_int_equal(sg_alphabet_id(cseq, said("200 BYE"), &counts), 3);
    assert_int_equal(sg_alphabet_id(cseq, said("180 INVITE"), &counts), 0);
    assert_int_equal(sg_alphabet_rule(cseq), SG_RULE_CSEQ);
    /* A response without a CSeq has no type under this rule. */
    assert_true(sg_sip_read(&message, "SIP/2.0 200 OK\r\n\r\n", 18));
    assert_int_equal(sg_alphabet_id(cseq, &message, &counts), 3);
    sg_alphabet_close(cseq);
    sg_alphabet_close(NULL);
}

static void refuses_wrong_names(void **state)
{
    (void)state;
    sg_alphabet *alphabet;
    const char *const twice[] = {"INVITE", "200", "INVITE"}, *const empty[] = {""};
    const char *const longer[] = {"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM"};
    assert_fails(SG_E_FORMAT, "'INVITE' twice", sg_alphabet_open(&alphabet, SG_RULE_PAPER, twice, 3));
    assert_null(alphabet);
    assert_fails(SG_E_FORMAT, "0 bytes", sg_alphabet_open(&alphabet, SG_RULE_PAPER, empty, 1));
    assert_fails(SG_E_FORMAT, "33 bytes", sg_alphabet_open(&alphabet, SG_RULE_PAPER, longer, 1));
    assert_fails(SG_E_FORMAT, "0 names", sg_alphabet_open(&alphabet, SG_RULE_PAPER, empty, 0));
}

/* Adds "what" `times` times. */
static uint16_t count_times(sg_census *census, const char *what, int times)
{
    uint16_t number = 0;
    for (int n = 0; n < times; n++)
        number = sg_census_add(census, said(what));
    return number;
}

static void a_census_counts(void **state)
{
    (void)state;
    sg_census *census;
    assert_ok(sg_census_open(&census, SG_RULE_PAPER, 100));
    assert_int_equal(count_times(census, "INVITE", 5), 1);
    assert_int_equal(count_times(census, "200 INVITE", 9), 2);
    assert_int_equal(count_times(census, "404 BYE", 2), 3);
    assert_int_equal(count_times(census, "486 INVITE", 1), 4);
    assert_int_equal(count_times(census, "FOO", 1), 5);
    assert_int_equal(count_times(census, "ACK", 5), 6);
    assert_int_equal(count_times(census, "9999 INVITE", 3), 0);
    assert_int_equal(sg_census_size(census), 6);
    assert_int_equal(sg_census_count(census, 2), 9);
    assert_int_equal(sg_census_count(census, 0), 3);
    assert_int_equal(sg_census_count(census, 7), 0);
    assert_string_equal(sg_census_name(census, 5), "FOO");
    assert_string_equal(sg_census_name(census, 0), "");
    sg_census_close(census);
}

/* Whoever invents methods fills a table of fixed size, and no more. */
static void a_census_is_bounded(void **state)
{
    (void)state;
    sg_census *census;
    assert_fails(SG_E_CONFIG, "census of 0", sg_census_open(&census, SG_RULE_PAPER, 0));
    assert_ok(sg_census_open(&census, SG_RULE_CSEQ, 50));
    for (int n = 0; n < 1000; n++) {
        char what[32];
        snprintf(what, sizeof what, "%03d M%d", n, n);
        uint16_t number = sg_census_add(census, said(what));
        assert_int_equal(number, n >= 1 && n <= 50 ? n : 0);
    }
    assert_int_equal(sg_census_size(census), 50);
    assert_int_equal(sg_census_count(census, 0), 950);
    assert_int_equal(sg_census_add(census, said("007 M7")), 7);
    sg_census_close(census);
}

/* Every type that a census finds can have an id of its own. */
static void every_type_keeps_its_id(void **state)
{
    (void)state;
    for (int rule = 0; rule < SG_RULES; rule++) {
        sg_census *census;
        sg_alphabet *alphabet;
        const char **names;
        assert_ok(sg_census_open(&census, rule, SG_TYPES_MAX));
        for (int code = 1; code < 1000; code++)
            for (int method = 1; method < SG_METHODS; method++) {
                char what[32];
                snprintf(what, sizeof what, "%03d %s", code, sg_sip_method_name(method));
                sg_census_add(census, said(what));
            }
        assert_int_equal(sg_census_size(census), rule == SG_RULE_PAPER ? 999 : 999 * (SG_METHODS - 1));
        int types = sg_census_size(census);
        assert_non_null(names = calloc((size_t)types, sizeof *names));
        for (int n = 1; n <= types; n++)
            names[n - 1] = sg_census_name(census, n);
        assert_ok(sg_alphabet_open(&alphabet, rule, names, types));
        for (int n = 1; n <= types; n++)
            assert_int_equal(sg_alphabet_id_of_name(alphabet, sg_census_name(census, n)), n);
        sg_alphabet_close(alphabet);
        free(names);
        sg_census_close(census);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_have_names),    cmocka_unit_test(names_of_types),
        cmocka_unit_test(finds_ids),           cmocka_unit_test(folds_as_far_as_it_can),
        cmocka_unit_test(refuses_wrong_names), cmocka_unit_test(a_census_counts),
        cmocka_unit_test(a_census_is_bounded), cmocka_unit_test(every_type_keeps_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
