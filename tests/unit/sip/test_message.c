#include "sip/frame.h"
#include "sip_case.h"

#include <time.h>

static sg_sip_message message;

static void read_text(const char *text)
{
    if (!sg_sip_read(&message, text, strlen(text)))
        fail_msg("no message: %s", text);
}

/* A request with these header lines. */
#define WITH(headers) "INVITE sip:bob@biloxi.com SIP/2.0\r\n" headers "\r\n"

static const char alice[] = "INVITE sip:bob@biloxi.com SIP/2.0\r\n"
                            "Via: SIP/2.0/UDP pc33.atlanta.com:5061;branch=z9hG4bK776asdhds;rport\r\n"
                            "Max-Forwards: 70\r\n"
                            "To: Bob <sip:bob@biloxi.com>\r\n"
                            "From: \"Alice\" <sip:alice@atlanta.com>;tag=1928301774\r\n"
                            "Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n"
                            "CSeq: 314159 INVITE\r\n"
                            "Contact: <sip:alice@pc33.atlanta.com>\r\n"
                            "User-Agent: Phone 1.0 (x;y)\r\n"
                            "Authorization: Digest username=\"alice\"\r\n"
                            "Content-Type: application/sdp\r\n"
                            "Content-Length: 4\r\n"
                            "\r\n"
                            "v=0\nmore";

static void assert_alice(void)
{
    assert_false(message.response);
    assert_int_equal(message.method, SG_METHOD_INVITE);
    assert_text(message.method_name, "INVITE");
    assert_text(message.uri, "sip:bob@biloxi.com");
    assert_text(message.call_id, "a84b4c76e66710@pc33.atlanta.com");
    assert_int_equal(message.cseq, 314159);
    assert_int_equal(message.cseq_method, SG_METHOD_INVITE);
    assert_text(message.branch, "z9hG4bK776asdhds");
    assert_text(message.sent_by, "pc33.atlanta.com:5061");
    assert_text(message.from_tag, "1928301774");
    assert_text(message.from_user, "alice");
    assert_text(message.to_tag, "");
    assert_text(message.to_user, "bob");
    assert_text(message.body, "v=0\n");
    assert_int_equal(message.content_length, 4);
    assert_int_equal(message.faults, 0);
}

static void reads_a_request(void **state)
{
    (void)state;
    read_text(alice);
    assert_alice();
    assert_text(message.user_agent, "Phone 1.0 (x;y)");
    assert_true(message.credentials);
    assert_int_equal(message.header_size, sizeof alice - 1 - 8);
}

static void reads_a_response(void **state)
{
    (void)state;
    read_text("SIP/2.0 407 Proxy Authentication Required\n"
              "v: SIP/2.0/TCP [2001:db8::1]:5060 ; branch=z9hG4bKx , SIP/2.0/UDP other;branch=z9hG4bKy\n"
              "i:c1\nf:sip:a@h;x=y;tag=f1\nt:<sip:b@h;tag=inside>;tag=t1\nCSeq: 0009\n  REGISTER\n"
              "o: presence;id=1\nSubscription-State : terminated;reason=x\nExpires: 60\nl: 0\n\n");
    assert_true(message.response);
    assert_int_equal(message.code, 407);
    assert_int_equal(message.method, SG_METHOD_REGISTER);
    assert_text(message.call_id, "c1");
    assert_int_equal(message.cseq, 9);
    assert_text(message.branch, "z9hG4bKx");
    assert_text(message.sent_by, "[2001:db8::1]:5060");
    assert_text(message.from_tag, "f1");
    assert_text(message.from_user, "a");
    assert_text(message.to_tag, "t1");
    assert_text(message.event, "presence");
    assert_text(message.subscription_state, "terminated");
    assert_int_equal(message.expires, 60);
    assert_int_equal(message.faults, 0);
}

static void lines_of_all_kinds(void **state)
{
    (void)state;
    char text[sizeof alice], *out = text;
    for (const char *in = alice; *in; in++) /* LF alone */
        if (*in != '\r')
            *out++ = *in;
    *out = '\0';
    read_text(text);
    assert_alice();
    /* RFC 4475, 3.1.1.1 */
    read_text(
        "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
        "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n"
        "from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n"
        "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\nContent-Length   : 0\r\n"
        "cseq: 0009\r\n  INVITE\r\n"
        "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n"
        "  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n"
        " z9hG4bK30239\r\n\r\n");
    assert_text(message.to_tag, "1918181833n");
    assert_text(message.to_user, "vivekg");
    assert_text(message.from_tag, "98asjd8");
    assert_text(message.from_user, "jdrosen");
    assert_int_equal(message.cseq, 9);
    assert_text(message.sent_by, "192.0.2.2");
    assert_text(message.branch, "390skdjuw");
    assert_int_equal(message.faults, SG_FAULT_BRANCH);
}

static void quotes_hide_what_they_hold(void **state)
{
    (void)state;
    read_text(WITH("From: \"x;tag=no <y>\\\"\" <sip:a@h>;p=\";tag=no\";tag=yes\r\n"
                   "To: \"open <sip:b@h>;tag=t\r\nVia: SIP/2.0/UDP h;x=\"a,b\";branch=z9hG4bK1\r\n"));
    assert_text(message.from_tag, "yes");
    assert_text(message.from_user, "a");
    assert_text(message.to_tag, "t");
    assert_text(message.to_user, "b");
    assert_text(message.branch, "z9hG4bK1");
    read_text(WITH("From: <sip:a@h>;tagged=1;TAG=\"q;r\"\r\nTo: <sip:b@h;tag=z\r\n"));
    assert_text(message.from_tag, "\"q;r\"");
    assert_text(message.to_tag, "");
    assert_text(message.to_user, "b");
}

static void users_of_uris(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"sip:alice@host", "alice"},
        {"sips:alice:secret@host:5061;x", "alice"},
        {"tel:+123;phone-context=x", "+123"},
        {"sip:host", ""},
        {"sip:@host", ""},
        {"", ""},
        {"nonsense", ""},
        {"sip:a;b?c@host", "a;b?c"},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        sg_text uri = {cases[n][0], (uint32_t)strlen(cases[n][0])};
        assert_text(sg_sip_uri_user(uri), cases[n][1]);
    }
    read_text("REGISTER sip:home SIP/2.0\r\nTo: <sip:carol@home>\r\n\r\n");
    assert_text(sg_sip_request_user(&message), "carol");
    read_text("OPTIONS sip:100@1.2.3.4 SIP/2.0\r\nTo: <sip:carol@home>\r\n\r\n");
    assert_text(sg_sip_request_user(&message), "100");
}

static void methods(void **state)
{
    (void)state;
    for (int method = SG_METHOD_OTHER + 1; method < SG_METHODS; method++) {
        const char *name = sg_sip_method_name(method);
        assert_int_equal(sg_sip_method_of((sg_text){name, (uint32_t)strlen(name)}), method);
        assert_int_equal(sg_sip_method_of((sg_text){name, (uint32_t)strlen(name) - 1}), SG_METHOD_OTHER);
    }
    assert_int_equal(sg_sip_method_of((sg_text){"invite", 6}), SG_METHOD_OTHER);
    assert_int_equal(sg_sip_method_of((sg_text){NULL, 0}), SG_METHOD_NONE);
    assert_string_equal(sg_sip_method_name(-1), "OTHER");
    read_text("invite sip:x SIP/2.0\r\nCSeq: 1 invite\r\n\r\n");
    assert_int_equal(message.method, SG_METHOD_OTHER);
    assert_false(message.faults & (SG_FAULT_CSEQ | SG_FAULT_CSEQ_METHOD));
    read_text("FOO sip:x SIP/2.0\r\nCSeq: 1 BAR\r\n\r\n");
    assert_true(message.faults & SG_FAULT_CSEQ_METHOD);
}

static void status_codes(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int code;
        bool fault;
    } cases[] = {
        {"SIP/2.0 200 OK", 200, false}, {"SIP/2.0  180 Ringing", 180, false}, {"SIP/2.0 20 x", 0, true},
        {"SIP/2.0 000 x", 0, true},     {"SIP/2.0 099 x", 99, true},          {"SIP/2.0 999 x", 999, true},
        {"SIP/2.0 9999 x", 0, true},    {"SIP/2.0 4294967301 x", 0, true},    {"SIP/2.0 699", 699, false},
        {"SIP/2.0 700", 700, true},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        char text[128];
        snprintf(text, sizeof text, "%s\r\nCSeq: 1 INVITE\r\n\r\n", cases[n].line);
        read_text(text);
        assert_int_equal(message.code, cases[n].code);
        assert_int_equal(!!(message.faults & SG_FAULT_CODE), cases[n].fault);
    }
}

/* The fault is told, and others of its kind are not. */
static void assert_fault(const char *headers, uint32_t among, uint32_t want)
{
    static char text[4096];
    snprintf(text, sizeof text, "INVITE sip:b SIP/2.0\r\n%s\r\n", headers);
    read_text(text);
    if ((message.faults & among) != want)
        fail_msg("faults %x instead of %x among %x: %s", message.faults, want, among, headers);
}

static void tells_faults(void **state)
{
    (void)state;
    const uint32_t all = ~0u;
    assert_fault("", all,
                 SG_FAULT_CALL_ID | SG_FAULT_CSEQ | SG_FAULT_VIA | SG_FAULT_BRANCH | SG_FAULT_FROM |
                     SG_FAULT_TO);
    assert_fault("Call-ID:\r\n", SG_FAULT_CALL_ID, SG_FAULT_CALL_ID);
    assert_fault("Call-ID: a\r\ni: a\r\n", SG_FAULT_REPEATED | SG_FAULT_CALL_ID, 0);
    assert_fault("Call-ID: a\r\ni: b\r\n", SG_FAULT_REPEATED, SG_FAULT_REPEATED);
    assert_text(message.call_id, "a");
    assert_fault("To: <sip:a@h>\r\nTo: <sip:b@h>\r\n", SG_FAULT_REPEATED | SG_FAULT_TO, SG_FAULT_REPEATED);
    assert_fault("Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b\r\n",
                 SG_FAULT_REPEATED | SG_FAULT_VIA | SG_FAULT_BRANCH, 0);
    assert_fault("Via: SIP/2.0/UDP\r\n", SG_FAULT_VIA, SG_FAULT_VIA);
    assert_fault("Via: a\r\n", SG_FAULT_VIA | SG_FAULT_BRANCH, SG_FAULT_VIA | SG_FAULT_BRANCH);
    assert_fault("From: <sip:a@h>\r\n", SG_FAULT_FROM, SG_FAULT_FROM);
    assert_fault("From: <sip:a@h>;tag=\r\n", SG_FAULT_FROM, SG_FAULT_FROM);
    assert_fault("no colon here\r\n", SG_FAULT_LINE, SG_FAULT_LINE);
    assert_fault(": no name\r\n", SG_FAULT_LINE, SG_FAULT_LINE);
    assert_fault("Content-Length: -1\r\n", SG_FAULT_CONTENT_LENGTH, SG_FAULT_CONTENT_LENGTH);
    assert_fault("Content-Length: 5\r\n", SG_FAULT_CONTENT_LENGTH, SG_FAULT_CONTENT_LENGTH);
    assert_fault("Content-Length: 99999999999999999999\r\n", SG_FAULT_CONTENT_LENGTH,
                 SG_FAULT_CONTENT_LENGTH);
    assert_fault("Content-Length: 0\r\nl: 1\r\n", SG_FAULT_REPEATED, SG_FAULT_REPEATED);
    read_text("INVITE sip:b SIP/2.0\r\nCall-ID: a");
    assert_true(message.faults & SG_FAULT_UNENDED);
    assert_text(message.call_id, "a");
    assert_true(sg_sip_read(&message, "ACK sip:b SIP/2.0\nCall-ID: a\0b\n\n", 32));
    assert_true(message.faults & SG_FAULT_NUL);
    assert_int_equal(message.call_id.length, 3);
}

static void tells_wrong_cseqs(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint32_t number;
        bool fault;
    } cases[] = {
        {"1 INVITE", 1, false},
        {"2147483647 INVITE", 2147483647u, false},
        {"2147483648 INVITE", 2147483648u, true},
        {"4294967296 INVITE", UINT32_MAX, true},
        {"36893488147419103232 INVITE", UINT32_MAX, true},
        {"-1 INVITE", 0, true},
        {"one INVITE", 0, true},
        {"1", 0, true},
        {"1INVITE", 0, true},
        {"INVITE", 0, true},
        {"1 INVITE x", 1, true},
        {"", 0, true},
        {"123456789012 INVITE", UINT32_MAX, true},
    };
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        char headers[128];
        snprintf(headers, sizeof headers, "CSeq: %s\r\n", cases[n].value);
        assert_fault(headers, SG_FAULT_CSEQ, cases[n].fault ? SG_FAULT_CSEQ : 0);
        assert_int_equal(message.cseq, cases[n].number);
    }
    for (int bit = 0; bit < SG_FAULT_BITS; bit++)
        assert_true(strlen(sg_sip_fault_text(bit)) > 1);
    assert_string_equal(sg_sip_fault_text(SG_FAULT_BITS), "?");
}

static void call_ids_of_any_kind(void **state)
{
    (void)state;
    static char text[70000];
    strcpy(text, "OPTIONS sip:x SIP/2.0\r\nCall-ID: ");
    size_t at = strlen(text);
    memset(text + at, 'c', 65000);
    strcpy(text + at + 65000, "\r\n\r\n");
    read_text(text);
    assert_int_equal(message.call_id.length, 65000);
    read_text(WITH("Call-ID:   {\"a\":\"%n\"}\r\n \r\n"));
    assert_text(message.call_id, "{\"a\":\"%n\"}");
    read_text(WITH("Call-ID: one\r\n two\r\n")); /* folded: the line end is inside */
    assert_text(message.call_id, "one\r\n two");
    read_text(WITH("Call-ID: \x80\xff\r\n"));
    assert_text(message.call_id, "\x80\xff");
}

/* The reader looks at no byte beyond the message, wherever that is cut. */
static void stays_within_the_message(void **state)
{
    (void)state;
    guarded g = guarded_open(sizeof alice);
    size_t length;
    for (size_t n = 0; n < sizeof alice; n++) {
        const char *at = guarded_put(&g, alice, n);
        sg_sip_read(&message, at, n);
        sg_sip_frame_datagram(at, n, &length);
        sg_sip_frame_resync(at, n);
    }
    assert_alice();
    guarded_close(&g);
}

static void assert_inside(sg_text text, const char *data, size_t size)
{
    if (text.length)
        assert_true(text.data >= data && text.data + text.length <= data + size);
}

static void assert_all_inside(const char *data, size_t size)
{
    const sg_text texts[] = {message.method_name,
                             message.uri,
                             message.call_id,
                             message.cseq_name,
                             message.branch,
                             message.sent_by,
                             message.from_tag,
                             message.from_user,
                             message.to_tag,
                             message.to_user,
                             message.user_agent,
                             message.event,
                             message.subscription_state,
                             message.body};
    for (size_t n = 0; n < sizeof texts / sizeof *texts; n++)
        assert_inside(texts[n], data, size);
    assert_true(message.header_size <= size);
    assert_true(message.code < 1000 && message.method < SG_METHODS && message.cseq_method < SG_METHODS);
}

static void survives_mutation(void **state)
{
    (void)state;
    static const char spice[] = "\r\n \t:;,<>\"\\@=/\0\x80\xffzZ9SIP/2.0";
    guarded g = guarded_open(2 * sizeof alice);
    uint64_t seed = 1;
    char text[sizeof alice];
    for (int round = 0; round < 60000; round++) {
        memcpy(text, alice, sizeof alice);
        for (uint64_t changes = dice(&seed) % 8; changes > 0; changes--)
            text[dice(&seed) % sizeof alice] = spice[dice(&seed) % (sizeof spice - 1)];
        size_t size = dice(&seed) % 4 ? sizeof alice - 1 : dice(&seed) % sizeof alice;
        const char *at = guarded_put(&g, text, size);
        size_t length;
        bool framed = sg_sip_frame_datagram(at, size, &length) == SG_FRAME_COMPLETE;
        assert_int_equal(sg_sip_read(&message, at, size), framed);
        assert_all_inside(at, size);
        sg_frame frame = sg_sip_frame_stream(at, size, 4096, 4096, &length);
        assert_true(frame != SG_FRAME_COMPLETE || (length <= size && framed));
    }
    guarded_close(&g);
}

static double seconds_to_read(const char *text, size_t size, int times)
{
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (int n = 0; n < times; n++)
        assert_true(sg_sip_read(&message, text, size));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

/* Messages made to be slow, 64 KiB to some MB: a reader of quadratic time would take minutes. */
static void takes_linear_time(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        int count;
    } cases[] = {
        {"X-H: y\r\n", 100000}, {"Via: SIP/2.0/UDP a, \r\n", 90000},
        {"From: \"", 100000},   {"\"", 1000000},
        {"\\\"", 500000},       {" \r\n", 300000},
        {";", 1000000},         {";tag", 300000},
        {";tag \"", 300000},    {"Call-ID: a\r\n", 80000},
        {"\n\r", 100000},       {": ", 300000},
        {"<", 1000000},         {"To: <\"\r\n", 100000},
    };
    static const char *const heads[] = {"", "From: ", "From: <sip:a>;x=", "Via: SIP/2.0/UDP h;branch="};
    char *text;
    assert_non_null(text = malloc(2400000));
    for (size_t head = 0; head < 4; head++)
        for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
            char *at = text + sprintf(text, "INVITE sip:b SIP/2.0\r\n%s", heads[head]);
            size_t unit = strlen(cases[n].unit);
            for (int count = 0; count < cases[n].count; count++, at += unit)
                memcpy(at, cases[n].unit, unit);
            double seconds = seconds_to_read(text, (size_t)(at - text), 1);
            if (seconds > 1)
                fail_msg("%g s for %s%s...", seconds, heads[head], cases[n].unit);
        }
    free(text);
}

/* RFC 4475: what the torture messages say, where reading them at all is the question. */
static void torture(void **state)
{
    (void)state;
    static const struct {
        const char *file, *call_id;
        const char *branch, *to_tag;
        int64_t cseq;
        uint32_t faults;
    } cases[] = {
        {"wsinv", "wsinv.ndaksdj@192.0.2.1", "390skdjuw", "1918181833n", 9, SG_FAULT_BRANCH},
        {"intmeth", "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{", "z9hG4bK-.!%66*_+`'~", "", 139122385, 0},
        {"esc01", "esc01.239409asdfakjkn23onasd0-3234", "z9hG4bKkdjuw", "", 234234, 0},
        {"escnull", "escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd", "z9hG4bKkdjuw", "", 14398234, 0},
        {"lwsdisp", "lwsdisp.1234abcd@funky.example.com", "z9hG4bKkdjuw", "", 60, 0},
        {"semiuri", "semiuri.0ha0isndaksdj", "z9hG4bKkdjuw", "", 8, 0},
        {"transports", "transports.kijh4akdnaqjkwendsasfdj", "z9hG4bKkdjuw", "", 60, 0},
        {"noreason", "noreason.asndj203insdf99223ndf", "z9hG4bK2398ndaoe", "902jndnke3", 35, 0},
        {"bigcode", "bigcode.asdof3uj203asdnf3429uasdhfas3ehjasdfas9i", "z9hG4bK2398ndaoe", "902jndnke3",
         353494, SG_FAULT_CODE},
        {"scalarlg", "scalarlg.noase0of0234hn2qofoaf0232aewf2394r", "z9hG4bKzzxdiwo34sw", "", UINT32_MAX,
         SG_FAULT_CSEQ},
        {"mismatch01", "mismatch01.dj0234sxdfl3", "z9hG4bKkdjuw", "", 8, SG_FAULT_CSEQ_METHOD},
        {"ncl", "ncl.0ha0isndaksdj2193423r542w35", NULL, "", 0, SG_FAULT_CONTENT_LENGTH},
        {"clerr", "clerr.0ha0isndaksdjweiafasdk3", NULL, "", 8, SG_FAULT_CONTENT_LENGTH},
        {"multi01", "multi01.98asdh@192.0.2.1", NULL, NULL, 5, SG_FAULT_REPEATED},
        {"mcl01", "mcl01.fhn2323orihawfdoa3o4r52o3irsdf", NULL, "", 15932, SG_FAULT_REPEATED},
        {"insuf", "", "z9hG4bKkdj.insuf", NULL, 193942, SG_FAULT_CALL_ID | SG_FAULT_TO | SG_FAULT_FROM},
        {"dblreq", "dblreq.0ha0isndaksdj99sdfafnl3lk233412", "z9hG4bKkdjuw23492", "", 8, 0},
        {"trws", "trws.oicu34958239neffasdhr2345r", "z9hG4bK299342093", "", 238923, 0},
        {"lwsstart", "lwsstart.dfknq234oi243099adsdfnawe3@example.com", "z9hG4bKkdjuw3923", "", 1893884, 0},
        {"lwsruri", "lwsruri.asdfasdoeoi2323-asdfwrn23-asd834rk423", "z9hG4bKkdjuw2395", "3xfe-9921883-z9f",
         2130706432, 0},
    };
    static char text[65536];
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        char path[512];
        snprintf(path, sizeof path, SG_SHARED_CAPTURES "/torture/%s.dat", cases[n].file);
        FILE *in = fopen(path, "rb");
        if (!in) {
            print_message("no torture messages here\n");
            skip();
        }
        size_t size = fread(text, 1, sizeof text, in);
        fclose(in);
        if (!sg_sip_read(&message, text, size))
            fail_msg("%s is not read", cases[n].file);
        assert_text(message.call_id, cases[n].call_id);
        if (cases[n].branch)
            assert_text(message.branch, cases[n].branch);
        if (cases[n].to_tag)
            assert_text(message.to_tag, cases[n].to_tag);
        if (cases[n].cseq)
            assert_int_equal(message.cseq, cases[n].cseq);
        if ((message.faults & cases[n].faults) != cases[n].faults)
            fail_msg("%s: faults %x instead of %x", cases[n].file, message.faults, cases[n].faults);
    }
}

/* SIPGPU_BENCH=1 prints the time of a message. */
static void speed(void **state)
{
    (void)state;
    if (!getenv("SIPGPU_BENCH"))
        skip();
    double seconds = seconds_to_read(alice, sizeof alice - 1, 2000000);
    print_message("%zu bytes in %.0f ns\n", sizeof alice - 1, seconds / 2000000 * 1e9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_request),
        cmocka_unit_test(reads_a_response),
        cmocka_unit_test(lines_of_all_kinds),
        cmocka_unit_test(quotes_hide_what_they_hold),
        cmocka_unit_test(users_of_uris),
        cmocka_unit_test(methods),
        cmocka_unit_test(status_codes),
        cmocka_unit_test(tells_faults),
        cmocka_unit_test(tells_wrong_cseqs),
        cmocka_unit_test(call_ids_of_any_kind),
        cmocka_unit_test(stays_within_the_message),
        cmocka_unit_test(survives_mutation),
        cmocka_unit_test(takes_linear_time),
        cmocka_unit_test(torture),
        cmocka_unit_test(speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
