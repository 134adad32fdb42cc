/* alert_case.h: alerts for the tests of this room. */
#ifndef SG_ALERT_CASE_H
#define SG_ALERT_CASE_H

#include "testing.h"
#include "watch/alert.h"

#define UNUSED __attribute__((unused))

/* Bytes of an array, its NUL left out. */
#define TEXT(literal)                             \
    (sg_text)                                     \
    {                                             \
        (literal), (uint32_t)(sizeof literal - 1) \
    }

/* Everything that a header can bring against those who write it down. */
static const char hostile[] UNUSED =
    "a\0b\"c\\d\r\ne\x1b[2Jf\x7fg\xffh\xc3i\xc3\xa9j\xe2\x80\xaek\xed\xa0\x80l\xf4\x90\x80\x80m%n%s "
    "src=1.2.3.4\n{}";

static const char *const sample_types[] UNUSED = {"INVITE", "100", "180", "BYE"};

static inline sg_endpoint ipv4(int a, int b, int c, int d, int port)
{
    return (sg_endpoint){4, {(uint8_t)a, (uint8_t)b, (uint8_t)c, (uint8_t)d}, (uint16_t)port};
}

static inline sg_alert sample_alert(void)
{
    return (sg_alert){
        .reason = SG_REASON_PREFIX,
        .time_us = 1767323045123456, /* 2026-01-02T03:04:05.123456 */
        .flow = {.time_us = 1767323045123456,
                 .source = ipv4(192, 0, 2, 1, 5060),
                 .destination = ipv4(198, 51, 100, 7, 5062),
                 .transport = SG_TRANSPORT_UDP},
        .flow_id = 0xfedcba9876543210,
        .call_id = TEXT("abc@host"),
        .from_tag = TEXT("f1"),
        .to_tag = TEXT("t1"),
        .last = TEXT("BYE"),
        .seq = sample_types,
        .seq_length = 4,
        .position = 4,
        .scored = true,
        .skewness = 0.25,
        .kurtosis = 0.125,
        .skewness_limit = 0.999828,
        .kurtosis_limit = 0.999759,
        .score = 0.75,
    };
}

static const sg_source sample_source UNUSED = {
    .address = {6, {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, 0},
    .first_us = 1767323000000000,
    .last_us = 1767323045123456,
    .requests = 41,
    .rate = 40,
    .call_ids = 39,
    .users = 38,
    .targets = 3,
    .failures = 37,
    .refusals = 37,
    .invites = 2,
    .acks = 1,
};

static inline sg_alert source_alert(void)
{
    sg_alert alert = sample_alert();
    alert.reason = SG_REASON_SCAN;
    alert.call_id = alert.from_tag = alert.to_tag = (sg_text){NULL, 0};
    alert.seq_length = alert.position = 0;
    alert.scored = false;
    alert.source = &sample_source;
    return alert;
}

/* The whole of a file, with a NUL after it; to be freed. */
static inline char *read_whole(const char *path, size_t *length)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *text = malloc(1 << 20);
    size_t n = fread(text, 1, (1 << 20) - 1, in);
    fclose(in);
    text[n] = '\0';
    if (length)
        *length = n;
    return text;
}

static inline int count_lines(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

#endif
