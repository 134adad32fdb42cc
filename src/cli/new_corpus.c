#include "cli/new_corpus.h"

#include "base/files.h"
#include "base/log.h"
#include "cli/cli.h"
#include <inttypes.h>

sg_status sg_new_corpus_check(const sg_new_corpus_options *options)
{
    int64_t size[SG_SPLITS];
    SG_TRY(sg_file_check_writable(options->out, options->force));
    return sg_split_sizes(1000000, options->share, size);
}

sg_status sg_new_corpus_write(sg_corpus *corpus, const sg_new_corpus_options *options)
{
    int64_t size[SG_SPLITS];
    SG_TRY(sg_split_sizes(corpus->dialogs, options->share, size));
    SG_TRY(sg_split_draw(corpus, size, (uint64_t)options->seed));
    return sg_corpus_write(corpus, options->out, "sipgpu " SG_VERSION);
}

sg_status sg_new_corpus_report(const sg_corpus *corpus, const sg_new_corpus_options *options,
                               const sg_import_report *report)
{
    int64_t size[SG_SPLITS], unseen[SG_SPLITS];
    SG_TRY(sg_split_count(corpus, size, unseen));
    if (report->folded_types)
        sg_note("%" PRId64 " messages of %" PRId64 " rare types became OTHER", report->folded_messages,
                report->folded_types);
    if (report->cut)
        sg_note("%" PRId64 " dialogs were cut to %d messages", report->cut, corpus->max_length);
    sg_note("%s: %" PRId64 " dialogs of %d classes, %d message types, longest %d", options->out,
            corpus->dialogs, corpus->classes, corpus->message_types, corpus->max_length);
    sg_note("split %" PRId64 "/%" PRId64 "/%" PRId64 ", unseen %" PRId64 " and %" PRId64, size[0], size[1],
            size[2], unseen[SG_SPLIT_VALIDATION], unseen[SG_SPLIT_TEST]);
    return SG_OK;
}
