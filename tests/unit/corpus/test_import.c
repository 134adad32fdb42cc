#include "corpus/import.h"
#include "corpus_case.h"

static sg_import_report report;

/* Imports texts as files "a", "b", ...; up to NULL. */
static sg_status import_texts(sg_corpus *corpus, sg_import_options options, const char *const *texts)
{
    sg_import *import;
    sg_status status = SG_OK;
    char name[2] = "a";
    options.types_max = options.types_max ? options.types_max : 255;
    options.min_length = options.min_length ? options.min_length : 1;
    SG_TRY(sg_import_open(&import, &options));
    for (; *texts && status == SG_OK; texts++, name[0]++) {
        FILE *in = **texts ? fmemopen((void *)*texts, strlen(*texts), "rb") : fopen("/dev/null", "rb");
        assert_non_null(in);
        status = sg_import_read(import, in, name);
        fclose(in);
    }
    if (status == SG_OK)
        status = sg_import_finish(import, corpus, &report);
    sg_import_close(import);
    return status;
}

#define TEXTS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define DEFAULTS        \
    (sg_import_options) \
    {                   \
        0               \
    }

/* Dialog d as "INVITE 200 ACK". */
static void assert_dialog(const sg_corpus *corpus, int64_t d, const char *want)
{
    char text[1024] = "";
    int c = corpus->label[d];
    for (int t = 0; t < corpus->max_length; t++) {
        int token = corpus->class_sequence[c * corpus->max_length + t];
        assert_int_equal(token != 0, t < corpus->class_length[c]);
        if (token)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", t ? " " : "",
                     corpus->alphabet[token - 1]);
    }
    assert_string_equal(text, want);
}

static const char simple[] = "call_id,time,from,to,message\n"
                             "a@x,1.0,alice,bob,INVITE\n"
                             "b@x,1.5,bob,alice,OPTIONS\n"
                             "a@x,2.0,alice,bob,200\n"
                             "b@x,1.6,bob,alice,200\n"
                             "c@x,9.0,alice,bob,OPTIONS\n"
                             "a@x,3.0,alice,bob,ACK\n"
                             "c@x,9.1,alice,bob,200\n";

static void reads_a_simple_table(void **state)
{
    (void)state;
    sg_corpus c;
    assert_ok(import_texts(&c, DEFAULTS, TEXTS(simple)));
    assert_int_equal(c.dialogs, 3);
    assert_int_equal(c.classes, 2);
    assert_int_equal(c.max_length, 3);
    assert_dialog(&c, 0, "INVITE 200 ACK");
    assert_dialog(&c, 1, "OPTIONS 200");
    assert_dialog(&c, 2, "OPTIONS 200");
    assert_int_equal(c.label[1], 1);
    assert_int_equal(c.class_count[1], 2);
    assert_int_equal(c.user_agent[0], 0);
    assert_int_equal(c.user_agent[1], 1);
    assert_int_equal(c.user_agent[2], 0);
    assert_true(c.start_time[1] == 1.5);
    assert_string_equal(c.call_id[2], "c@x");
    assert_string_equal(c.alphabet[0], "200"); /* the commonest first */
    assert_int_equal(report.messages, 7);
    assert_int_equal(report.records, 7);
    assert_int_equal(report.reordered, 0);
    sg_corpus_free(&c);
}

/* The same dialogs in other dresses. */
static void reads_it_in_other_forms(void **state)
{
    (void)state;
    static const char *const forms[] = {
        /* byte order mark, CRLF, semicolons, blanks, empty lines, names in other case */
        "\xEF\xBB\xBF"
        "Call-ID ; TIMESTAMP; From;Type\r\n\r\na;1;x; invite \r\n\r\na;2;x;200 OK\r\na;3;x;ack",
        /* tshark -T fields -E header=y */
        "frame.number\tsip.Call-ID\tframe.time_epoch\tsip.Method\tsip.Status-Code\tsip.from.addr\n"
        "1\ta\t1.000000001\tINVITE\t\tx\n2\ta\t1.000000002\t\t200\tx\n3\ta\t2\tACK\t\tx\n",
        /* truth of a capture */
        "frame\ttime\tcall_id\ttype\tcseq_num\tcseq_method\tsrc\tdst\n1\t1\ta\tINVITE\t1\tINVITE\tx\ty\n"
        "2\t2\ta\t200\t1\tINVITE\ty\tx\n3\t3\ta\tACK\t1\tACK\tx\ty\n",
        /* quotes: separators, doubled quotes and line ends inside */
        "time,note,call_id,message,from\n1,\"a, \"\"b\"\"\nc\",a,\"INVITE\",\"x\"\n2,,a,SIP/2.0 200 OK,x\n"
        "\"3\",,\"a\",ACK sip:b@c SIP/2.0,x\n",
        /* out of order, ISO times in three zones */
        "call_id,time,message,from\na,2020-02-29T12:00:02Z,ACK,y\na,2020-02-29 13:00:00.5+01:00,INVITE,x\n"
        "a,2020-02-29T07:00:01.25-0500,200,y\n",
        /* quotes that are part of a value, as in a From header */
        "call_id\ttime\tsip.From\tmessage\na\t1\t\"X Y\" <sip:x>\tINVITE\na\t2\t\"X Y\" <sip:x>\t200\n"
        "a\t3\t\"quoted\"\tACK\n",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        sg_corpus c;
        assert_ok(import_texts(&c, DEFAULTS, TEXTS(forms[i])));
        assert_int_equal(c.dialogs, 1);
        assert_dialog(&c, 0, "INVITE 200 ACK");
        assert_int_equal(c.user_agent[0], 0);
        for (int r = 0; r < SG_SKIP_REASONS; r++)
            assert_int_equal(report.skipped[r], 0);
        sg_corpus_free(&c);
    }
}

/* However many columns there are, and names of other rules where they are allowed. */
static void reads_wide_tables(void **state)
{
    (void)state;
    sg_corpus c;
    char text[4096];
    char separators[1001] = "";
    memset(separators, ',', sizeof separators - 1);
    snprintf(text, sizeof text, "call_id,time%s,message\na,1%s,INVITE\na,2%s,200-INVITE\n", separators,
             separators, separators);
    assert_ok(import_texts(&c, DEFAULTS, TEXTS(text)));
    assert_dialog(&c, 0, "INVITE");
    assert_int_equal(report.skipped[SG_SKIP_MESSAGE], 1);
    sg_corpus_free(&c);
    assert_ok(import_texts(&c, (sg_import_options){.any_names = true}, TEXTS(text)));
    assert_dialog(&c, 0, "INVITE 200-INVITE");
    sg_corpus_free(&c);
}

static void reads_tables_without_header(void **state)
{
    (void)state;
    sg_corpus c;
    sg_import_options options = {.columns = "-,call_id,time,method,status"};
    assert_ok(import_texts(&c, options, TEXTS("1\ta\t1\tINVITE\t\n2\ta\t2\t\t200\n3\ta\t3\tACK\n")));
    assert_dialog(&c, 0, "INVITE 200 ACK");
    sg_corpus_free(&c);
    /* A header is passed over. */
    assert_ok(import_texts(&c, options, TEXTS("n,call_id,time,m,s\n1,a,1,INVITE,\n")));
    assert_int_equal(report.messages, 1);
    sg_corpus_free(&c);
    options.columns = "call_id,tme,message";
    assert_fails(SG_E_USAGE, "unknown column 'tme'", import_texts(&c, options, TEXTS(simple)));
    options.columns = "call_id,message";
    assert_fails(SG_E_USAGE, "column time is missing", import_texts(&c, options, TEXTS(simple)));
}

static void counts_what_it_skips(void **state)
{
    (void)state;
    sg_corpus c;
    assert_ok(import_texts(&c, DEFAULTS,
                           TEXTS("call_id,time,message\n"
                                 "a,1,INVITE\n"
                                 ",2,200\n"          /* no Call-ID */
                                 "a,soon,200\n"      /* no time */
                                 "a,,200\n"          /* no time */
                                 "a,3,2000\n"        /* no message */
                                 "a,3,\n"            /* no message */
                                 "a,3,\"200,200\"\n" /* two messages */
                                 "a,3,799\n"         /* no message */
                                 "a\n"               /* too few cells */
                                 "a,4,\"ACK\n")));   /* never closed */
    assert_int_equal(report.messages, 1);
    assert_int_equal(report.skipped[SG_SKIP_CALL_ID], 1);
    assert_int_equal(report.skipped[SG_SKIP_TIME], 2);
    assert_int_equal(report.skipped[SG_SKIP_MESSAGE], 4);
    assert_int_equal(report.skipped[SG_SKIP_COLUMNS], 1);
    assert_int_equal(report.skipped[SG_SKIP_RECORD], 1);
    assert_string_equal(report.first_skipped[SG_SKIP_TIME], "a:4: a,soon,200");
    assert_string_equal(report.first_skipped[SG_SKIP_MESSAGE], "a:6: a,3,2000");
    sg_corpus_free(&c);
}

static void zero_bytes_and_giant_lines_are_skipped(void **state)
{
    (void)state;
    sg_corpus c;
    sg_import *import;
    sg_import_options options = {.types_max = 255, .min_length = 1};
    assert_ok(sg_import_open(&import, &options));
    FILE *in = tmpfile();
    fputs("call_id,time,message\na,1,INVITE\n", in);
    fwrite("a,2,\0"
           "200\n",
           1, 9, in);
    fputs("a,3,", in);
    for (int i = 0; i < 2000000; i++)
        fputc('x', in);
    fputs("\na,4,ACK\n", in);
    for (int i = 0; i < 5000; i++)
        fputc('i', in);
    fputs(",5,BYE\n", in);
    rewind(in);
    assert_ok(sg_import_read(import, in, "a"));
    fclose(in);
    assert_ok(sg_import_finish(import, &c, &report));
    sg_import_close(import);
    assert_dialog(&c, 0, "INVITE ACK");
    assert_int_equal(report.skipped[SG_SKIP_RECORD], 2);
    assert_int_equal(report.skipped[SG_SKIP_CALL_ID], 1);
    sg_corpus_free(&c);
}

static void refuses_tables_without_use(void **state)
{
    (void)state;
    sg_corpus c;
    assert_fails(SG_E_FORMAT, "a:1: no column time",
                 import_texts(&c, DEFAULTS, TEXTS("call_id,when,message\na,1,ACK\n")));
    assert_fails(SG_E_FORMAT, "a:1: no column message",
                 import_texts(&c, DEFAULTS, TEXTS("call_id,time,from\na,1,ACK\n")));
    assert_fails(SG_E_FORMAT, "b:2: no column call_id",
                 import_texts(&c, DEFAULTS, TEXTS(simple, "\nrubbish\n")));
    assert_fails(SG_E_FORMAT, "the input holds no messages", import_texts(&c, DEFAULTS, TEXTS("")));
    assert_fails(SG_E_FORMAT, "the input holds no messages",
                 import_texts(&c, DEFAULTS, TEXTS("call_id,time,message\n")));
    assert_fails(SG_E_FORMAT, "no usable message among 1 records; the first (no time) is a:2: a,x,ACK",
                 import_texts(&c, DEFAULTS, TEXTS("call_id,time,message\na,x,ACK\n")));
    sg_import_options options = {.min_length = 9};
    assert_fails(SG_E_FORMAT, "none of the 3 dialogs has a length within",
                 import_texts(&c, options, TEXTS(simple)));
}

static void orders_by_time_and_keeps_ties(void **state)
{
    (void)state;
    sg_corpus c;
    static const char table[] =
        "call_id,time,message,from\na,5,BYE,z\na,1.000000002,100,y\na,1.000000001,INVITE,x\n"
        "a,1.000000002,180,y\nb,1,OPTIONS,q\na,1.000000002,200,y\na,2,ACK,y\n";
    assert_ok(import_texts(&c, DEFAULTS, TEXTS(table)));
    assert_dialog(&c, 0, "INVITE 100 180 200 ACK BYE");
    assert_int_equal(report.reordered, 1);
    assert_int_equal(c.user_agent[0], 0); /* x, who spoke first */
    assert_true(fabs(c.start_time[0] - 1.000000001) < 1e-12);
    sg_corpus_free(&c);
    sg_import_options options = {.file_order = true};
    assert_ok(import_texts(&c, options, TEXTS(table)));
    assert_dialog(&c, 0, "BYE 100 INVITE 180 200 ACK");
    sg_corpus_free(&c);
}

static void joins_files(void **state)
{
    (void)state;
    sg_corpus c;
    assert_ok(import_texts(&c, DEFAULTS,
                           TEXTS("call_id,time,message\na,1,INVITE\n", "message;time;call_id\nACK;2;a\n")));
    assert_int_equal(c.dialogs, 1);
    assert_dialog(&c, 0, "INVITE ACK");
    assert_int_equal(report.files, 2);
    sg_corpus_free(&c);
}

static void folds_rare_types(void **state)
{
    (void)state;
    sg_corpus c;
    sg_import_options options = {.types_max = 3};
    static const char table[] = "call_id,time,message\na,1,A\na,2,A\na,3,A\na,4,B\na,5,B\na,6,C\na,7,D\n";
    assert_ok(import_texts(&c, options, TEXTS(table)));
    assert_int_equal(c.message_types, 3);
    assert_dialog(&c, 0, "A A A B B OTHER OTHER");
    assert_int_equal(report.types, 4);
    assert_int_equal(report.folded_types, 2);
    assert_int_equal(report.folded_messages, 2);
    sg_corpus_free(&c);
    options.types_max = 4;
    assert_ok(import_texts(&c, options, TEXTS(table)));
    assert_dialog(&c, 0, "A A A B B C D");
    assert_int_equal(report.folded_types, 0);
    sg_corpus_free(&c);
    options.alphabet = "d,x,A";
    assert_ok(import_texts(&c, options, TEXTS(table)));
    assert_int_equal(c.message_types, 4);
    assert_string_equal(c.alphabet[1], "X");
    assert_dialog(&c, 0, "A A A OTHER OTHER OTHER D");
    sg_corpus_free(&c);
    options.alphabet = "OTHER,A";
    assert_ok(import_texts(&c, options, TEXTS(table)));
    assert_int_equal(c.message_types, 2);
    assert_dialog(&c, 0, "A A A OTHER OTHER OTHER OTHER");
    sg_corpus_free(&c);
    options.alphabet = "A,a";
    assert_fails(SG_E_USAGE, "A is listed twice", import_texts(&c, options, TEXTS(table)));
    options.alphabet = "A,20";
    assert_fails(SG_E_USAGE, "'20' is neither", import_texts(&c, options, TEXTS(table)));
}

/* A method that someone calls OTHER must not stand in the alphabet twice. */
static void a_method_called_other_is_no_trouble(void **state)
{
    (void)state;
    sg_corpus c;
    sg_import_options options = {.types_max = 3};
    assert_ok(import_texts(&c, options,
                           TEXTS("call_id,time,message\na,1,OTHER\na,2,OTHER\na,3,A\na,4,B\na,5,C\n")));
    assert_dialog(&c, 0, "OTHER OTHER A OTHER OTHER");
    assert_int_equal(c.message_types, 2);
    sg_corpus_free(&c);
}

static void cuts_or_drops_long_dialogs(void **state)
{
    (void)state;
    sg_corpus c;
    sg_import_options options = {.max_length = 2};
    assert_ok(import_texts(&c, options, TEXTS(simple)));
    assert_int_equal(c.max_length, 2);
    assert_dialog(&c, 0, "INVITE 200");
    assert_int_equal(report.cut, 1);
    sg_corpus_free(&c);
    options.drop_long = true;
    assert_ok(import_texts(&c, options, TEXTS(simple)));
    assert_int_equal(c.dialogs, 2);
    assert_int_equal(report.dropped_long, 1);
    assert_string_equal(c.call_id[0], "b@x");
    assert_int_equal(c.user_agent[0], 0); /* numbered among those kept */
    sg_corpus_free(&c);
    options = (sg_import_options){.min_length = 3, .max_length = 10};
    assert_ok(import_texts(&c, options, TEXTS(simple)));
    assert_int_equal(c.dialogs, 1);
    assert_int_equal(c.max_length, 10);
    assert_int_equal(report.dropped_short, 2);
    sg_corpus_free(&c);
}

/* What is imported can be written and read again. */
static void writes_what_it_imports(void **state)
{
    (void)state;
    sg_corpus a, b;
    assert_ok(import_texts(&a, DEFAULTS, TEXTS(simple)));
    assert_ok(sg_corpus_write(&a, case_path, "test 1"));
    assert_ok(sg_corpus_read(&b, case_path));
    assert_same_corpus(&a, &b);
    sg_corpus_free(&a);
    sg_corpus_free(&b);
}

static void parses_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        {"0", 0},
        {"1795348671.176821001", 1795348671176821001},
        {"1.5", 1500000000},
        {".25", 250000000},
        {"-1.5", -1500000000},
        {"1.0000000019", 1000000001},
        {"1970-01-01T00:00:00Z", 0},
        {"2000-03-01 00:00:00", 951868800000000000},
        {"2024-02-29T23:59:59.999999999+00:00", 1709251199999999999},
        {"2001-09-09T03:46:40.5+0200", 1000000000500000000},
    };
    static const char *const bad[] = {"",
                                      "x",
                                      "1x",
                                      "1.2.3",
                                      "-",
                                      ".",
                                      "1e9",
                                      "99999999999999999999",
                                      "2000-13-01 00:00:00",
                                      "2000-01-01T25:00:00Z",
                                      "2000-01-01T00:00:00+1",
                                      "2000-01-01T00:00:00 Z",
                                      "nan",
                                      "0x10",
                                      "2000-01-01"};
    int64_t t;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(sg_parse_time(good[i].text, &t));
        assert_int_equal(t, good[i].want);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sg_parse_time(bad[i], &t));
}

static void parses_messages(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"INVITE", "INVITE"},          {"invite", "INVITE"},           {"200", "200"},
        {"486 Busy Here", "486"},      {"SIP/2.0 180 Ringing", "180"}, {"x-foo.1", "X-FOO.1"},
        {"BYE sip:a@b SIP/2.0", "BYE"}};
    static const char *const bad[] = {"",    " ",    "20",       "2000",
                                      "099", "700",  "2x0",      "-",
                                      "a,b", "a\tb", "\xc3\xa4", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"};
    char type[33];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(sg_parse_message(good[i][0], type));
        assert_string_equal(type, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sg_parse_message(bad[i], type));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_simple_table),
        cmocka_unit_test(reads_it_in_other_forms),
        cmocka_unit_test(reads_wide_tables),
        cmocka_unit_test(reads_tables_without_header),
        cmocka_unit_test(counts_what_it_skips),
        cmocka_unit_test(zero_bytes_and_giant_lines_are_skipped),
        cmocka_unit_test(refuses_tables_without_use),
        cmocka_unit_test(orders_by_time_and_keeps_ties),
        cmocka_unit_test(joins_files),
        cmocka_unit_test(folds_rare_types),
        cmocka_unit_test(a_method_called_other_is_no_trouble),
        cmocka_unit_test(cuts_or_drops_long_dialogs),
        IN_FOLDER(writes_what_it_imports),
        cmocka_unit_test(parses_times),
        cmocka_unit_test(parses_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
