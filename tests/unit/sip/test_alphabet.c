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
    const char *const paper[] = {"INVITE", "200", "OTHER", "4xx-other", "A-B"};
    const char *const cseq[] = {"INVITE", "200-INVITE"};
    assert_int_equal(sg_type_rule_guess(paper, 5), SG_RULE_PAPER);
    assert_int_equal(sg_type_rule_guess(cseq, 2), SG_RULE_CSEQ);
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
    assert_int_equal(sg_type_rule_guess(sg_alphabet_names(paper), 7), SG_RULE_PAPER);
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

static void assert_names(const sg_alphabet *alphabet, const char *want)
{
    char text[1024] = "";
    for (int id = 1; id <= sg_alphabet_size(alphabet); id++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", id > 1 ? " " : "",
                 sg_alphabet_name(alphabet, id));
    assert_string_equal(text, want);
}

static void assert_choice(const sg_census *census, int types, sg_fold fold, const char *want)
{
    sg_alphabet *alphabet;
    assert_ok(sg_alphabet_from_census(&alphabet, census, types, fold));
    assert_names(alphabet, want);
    sg_alphabet_close(alphabet);
}

static void chooses_the_commonest(void **state)
{
    (void)state;
    sg_census *census;
    sg_alphabet *alphabet;
    uint16_t map[16];
    assert_ok(sg_census_open(&census, SG_RULE_PAPER, 100));
    assert_fails(SG_E_FORMAT, "no message", sg_alphabet_from_census(&alphabet, census, 5, SG_FOLD_NONE));
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
    assert_choice(census, 3, SG_FOLD_NONE, "200 ACK INVITE");
    assert_choice(census, 6, SG_FOLD_OTHER, "200 ACK INVITE 404 486 FOO");
    assert_choice(census, 4, SG_FOLD_OTHER, "200 ACK INVITE OTHER");
    assert_choice(census, 6, SG_FOLD_CLASSES, "200 ACK INVITE OTHER-method OTHER 4xx-other");
    assert_choice(census, 100, SG_FOLD_CLASSES, "200 ACK INVITE 404 486 FOO OTHER-method OTHER");
    assert_fails(SG_E_CONFIG, "allow more", sg_alphabet_from_census(&alphabet, census, 2, SG_FOLD_CLASSES));
    assert_ok(sg_alphabet_from_census(&alphabet, census, 6, SG_FOLD_CLASSES));
    sg_alphabet_map(alphabet, census, map);
    static const uint16_t want[] = {5, 3, 1, 6, 6, 4, 2};
    for (int n = 0; n < 7; n++)
        assert_int_equal(map[n], want[n]);
    sg_alphabet_close(alphabet);
    sg_census_close(census);
}

static void a_method_may_bear_the_name_of_a_class(void **state)
{
    (void)state;
    sg_census *census;
    assert_ok(sg_census_open(&census, SG_RULE_PAPER, 100));
    count_times(census, "OTHER", 3);
    count_times(census, "4xx-other", 2);
    count_times(census, "404 INVITE", 1);
    assert_choice(census, 2, SG_FOLD_OTHER, "OTHER 4xx-other");
    assert_choice(census, 3, SG_FOLD_CLASSES, "OTHER 4xx-other OTHER-method");
    sg_census_close(census);
    sg_census_close(NULL);
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

/* What is written as names and read again is the same alphabet. */
static void every_type_keeps_its_id(void **state)
{
    (void)state;
    for (int rule = 0; rule < SG_RULES; rule++) {
        sg_census *census;
        sg_alphabet *made, *read;
        assert_ok(sg_census_open(&census, rule, SG_TYPES_MAX));
        for (int code = 1; code < 1000; code++)
            for (int method = 1; method < SG_METHODS; method++) {
                char what[32];
                snprintf(what, sizeof what, "%03d %s", code, sg_sip_method_name(method));
                sg_census_add(census, said(what));
            }
        assert_int_equal(sg_census_size(census), rule == SG_RULE_PAPER ? 999 : 999 * (SG_METHODS - 1));
        assert_ok(sg_alphabet_from_census(&made, census, SG_TYPES_MAX, SG_FOLD_NONE));
        assert_ok(sg_alphabet_open(&read, rule, sg_alphabet_names(made), sg_alphabet_size(made)));
        for (int n = 1; n <= sg_census_size(census); n++) {
            int id = sg_alphabet_id_of_name(read, sg_census_name(census, n));
            assert_string_equal(sg_alphabet_name(made, id), sg_census_name(census, n));
        }
        sg_alphabet_close(made);
        sg_alphabet_close(read);
        sg_census_close(census);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_have_names),
        cmocka_unit_test(names_of_types),
        cmocka_unit_test(finds_ids),
        cmocka_unit_test(folds_as_far_as_it_can),
        cmocka_unit_test(refuses_wrong_names),
        cmocka_unit_test(chooses_the_commonest),
        cmocka_unit_test(a_method_may_bear_the_name_of_a_class),
        cmocka_unit_test(a_census_is_bounded),
        cmocka_unit_test(every_type_keeps_its_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
