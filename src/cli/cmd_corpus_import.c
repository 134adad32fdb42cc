#include "base/files.h"
#include "base/log.h"
#include "capture/import.h"
#include "cli/cli.h"
#include "cli/new_corpus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SEPARATOR_AUTO, SEPARATOR_TAB, SEPARATOR_COMMA, SEPARATOR_SEMICOLON };

typedef struct {
    sg_common_options common;
    sg_new_corpus_options target;
    char columns[SG_TEXT_MAX], alphabet[SG_TEXT_MAX], bpf[SG_TEXT_MAX];
    sg_text_list pcap;
    int separator, truncate, order, rule, retransmissions, dialogs;
    int64_t duplicates_ms;
    int64_t types, max_length, min_length;
} import_options;

#define AT(member) SG_KEY(import_options, member)

static const sg_option table[] = {
    SG_NEW_CORPUS_OUT(import_options, target),
    SG_LIST(AT(pcap), "FILE",
            "capture to read, not tables: pcap, pcapng, gzipped, HEP in them, -; several times",
            .letter = 'r'),
    SG_TEXT(AT(bpf), "FILTER", "captures: packets to take"),
    SG_ENUM(SG_AT("type_rule", import_options, rule), "paper", "paper|cseq",
            "captures: types are methods and codes, or codes with their method (200-INVITE)"),
    SG_ENUM(AT(retransmissions), "keep", "keep|collapse", "captures: leave copies of messages in, or out"),
    SG_ENUM(AT(dialogs), "all", "all|ended",
            "captures: also dialogs that are cut off, silent, or began before"),
    SG_INT(AT(duplicates_ms), "0", 0, 10000,
           "captures: leave out identical datagrams within so many milliseconds"),
    SG_TEXT(AT(columns), "A,B,...",
            "columns of tables without header: call_id, time, message, method, status, from, to, -"),
    SG_ENUM(AT(separator), "auto", "auto|tab|comma|semicolon", "what stands between cells"),
    SG_INT(AT(types), "255", 2, SG_MESSAGE_TYPES_MAX,
           "size of the alphabet: the commonest message types, and OTHER for the rest", .argument = "M"),
    SG_TEXT(AT(alphabet), "NAME,...", "the alphabet; types beyond it become OTHER"),
    SG_INT(AT(max_length), "0", 0, SG_LENGTH_MAX, "pad length; 0: the longest dialog", .argument = "L"),
    SG_ENUM(AT(truncate), "cut", "cut|drop", "cut dialogs beyond --max-length, or leave them out"),
    SG_ENUM(AT(order), "time", "time|file", "order the messages of a dialog by time, or leave them as read"),
    SG_INT(AT(min_length), "1", 1, SG_LENGTH_MAX, "leave out dialogs of fewer messages"),
    SG_NEW_CORPUS_OPTIONS(import_options, target),
    SG_COMMON_OPTIONS(import_options),
};

static const char about[] =
    "Makes a corpus from tables of SIP messages, one a line: a Call-ID, a time, a message type (or a\n"
    "method and a status), and who it is from.  Takes CSV and TSV with a header, and what\n"
    "  tshark -r FILE -Y sip -T fields -E header=y -E occurrence=f -e sip.Call-ID \\\n"
    "    -e frame.time_epoch -e sip.from.addr -e sip.Method -e sip.Status-Code\n"
    "prints.  Messages with one Call-ID are a dialog, ordered by time.  FILE may be - for standard input.\n"
    "With --pcap it reads captures itself, and follows dialogs as `watch` does.";

static sg_status read_file(sg_import *import, const char *path)
{
    if (strcmp(path, "-") == 0)
        return sg_import_read(import, stdin, "standard input");
    SG_TRY(sg_file_check_readable(path));
    FILE *in = fopen(path, "rb");
    if (!in)
        return sg_fail(SG_E_IO, "%s: %s", path, strerror(errno));
    sg_status status = sg_import_read(import, in, path);
    fclose(in);
    return status;
}

static void report_messages(const sg_import_report *r)
{
    sg_note("%" PRId64 " messages of %" PRId64 " types from %" PRId64 " records in %" PRId64 " file%s",
            r->messages, r->types, r->records, r->files, r->files == 1 ? "" : "s");
    for (int k = 0; k < SG_SKIP_REASONS; k++)
        if (r->skipped[k])
            sg_warn("%" PRId64 " records skipped (%s), the first is %s", r->skipped[k],
                    sg_skip_reason_text(k), r->first_skipped[k]);
    if (r->reordered)
        sg_note("%" PRId64 " dialogs were put in order of time", r->reordered);
}

static sg_status report(const import_options *o, const sg_corpus *corpus, const sg_import_report *r)
{
    report_messages(r);
    if (r->dropped_long)
        sg_note("%" PRId64 " dialogs of more than %" PRId64 " messages were left out", r->dropped_long,
                o->max_length);
    if (r->dropped_short)
        sg_note("%" PRId64 " dialogs of fewer than %" PRId64 " messages were left out", r->dropped_short,
                o->min_length);
    return sg_new_corpus_report(corpus, &o->target, r);
}

static void report_captures(const sg_capture_import_report *r)
{
    sg_note("%" PRIu64 " packets, %" PRIu64 " SIP messages, %" PRIu64 " dialogs, %" PRIu64
            " copies of messages",
            r->counts.count[SG_COUNT_PACKETS], r->counts.count[SG_COUNT_MESSAGES], r->tracker.begun,
            r->tracker.repeats);
    for (int k = SG_COUNT_MESSAGES + 1; k < SG_COUNT_NUMBER; k++)
        if (r->counts.count[k] && k != SG_COUNT_MESSAGE_BYTES)
            sg_note("%" PRIu64 " %s", r->counts.count[k], sg_count_text((sg_count)k));
    if (r->tracker.no_call_id)
        sg_note("%" PRIu64 " messages without a Call-ID were left out", r->tracker.no_call_id);
    if (r->untyped)
        sg_note("%" PRIu64 " messages have no type that can be named, and were left out", r->untyped);
    if (r->tracker.truncated)
        sg_note("%" PRIu64 " messages are beyond what is kept of a dialog", r->tracker.truncated);
    if (r->unfinished)
        sg_note("%" PRIu64 " dialogs without an end were left out", r->unfinished);
}

static sg_status read_captures(const import_options *o, sg_import *import)
{
    const sg_capture_import options = {.files = &o->pcap,
                                       .filter = o->bpf,
                                       .rule = (sg_type_rule)o->rule,
                                       .repeats = (sg_repeats)o->retransmissions,
                                       .ended_only = o->dialogs == 1,
                                       .messages_max = SG_DIALOG_MESSAGES_MAX,
                                       .duplicates_us = 1000 * o->duplicates_ms};
    sg_capture_import_report report;
    SG_TRY(sg_capture_import_read(import, &options, &report));
    report_captures(&report);
    return SG_OK;
}

static sg_status make_corpus(const import_options *o, const sg_text_list *files, sg_corpus *corpus,
                             sg_import_report *r)
{
    static const char separators[] = {'\0', '\t', ',', ';'};
    sg_import_options options = {.separator = separators[o->separator],
                                 .columns = o->columns[0] ? o->columns : NULL,
                                 .alphabet = o->alphabet[0] ? o->alphabet : NULL,
                                 .types_max = o->types,
                                 .max_length = o->max_length,
                                 .min_length = o->min_length,
                                 .drop_long = o->truncate == 1,
                                 .file_order = o->order == 1,
                                 .any_names = o->pcap.count && o->rule == SG_RULE_CSEQ};
    sg_import *import;
    SG_TRY(sg_import_open(&import, &options));
    sg_status status = SG_OK;
    for (size_t i = 0; i < files->count && status == SG_OK; i++)
        status = read_file(import, files->items[i]);
    if (status == SG_OK && o->pcap.count)
        status = read_captures(o, import);
    if (status == SG_OK)
        status = sg_import_finish(import, corpus, r);
    sg_import_close(import);
    return status;
}

static sg_status import_files(const import_options *o, const sg_text_list *files)
{
    sg_corpus corpus;
    sg_import_report r;
    SG_TRY(sg_new_corpus_check(&o->target));
    SG_TRY(make_corpus(o, files, &corpus, &r));
    snprintf(corpus.source, sizeof corpus.source, "imported from %.180s%s",
             files->count ? files->items[0] : o->pcap.items[0],
             files->count + o->pcap.count > 1 ? " and others" : "");
    snprintf(corpus.type_rule, sizeof corpus.type_rule, "%s", sg_type_rule_name((sg_type_rule)o->rule));
    corpus.collapsed = o->retransmissions == SG_REPEATS_COLLAPSE;
    sg_status status = sg_new_corpus_write(&corpus, &o->target);
    if (status == SG_OK)
        status = report(o, &corpus, &r);
    sg_corpus_free(&corpus);
    return status;
}

static sg_status run(const sg_call *call)
{
    const import_options *o = call->options;
    if (call->words->count && o->pcap.count)
        return sg_fail(SG_E_USAGE, "either tables or captures, not both (%s, --pcap %s)",
                       call->words->items[0], o->pcap.items[0]);
    if (!call->words->count && !o->pcap.count)
        return sg_fail(SG_E_USAGE, "corpus import needs FILE or --pcap FILE");
    return import_files(o, call->words);
}

SG_COMMAND(corpus_import, "corpus import", "make a corpus from captures, CSV or TSV", about, table,
           import_options, run, .words = "[FILE...]", .words_max = SG_TEXT_LIST_MAX);
