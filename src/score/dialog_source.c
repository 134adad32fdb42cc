#include "score/dialog_source.h"

#include "base/files.h"
#include "base/h5_digest.h"
#include "base/log.h"
#include "base/memory.h"
#include "corpus/import.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a text that says when it has to be waited for ---- */

typedef struct {
    int fd;
    const sg_dialog_sink *sink;
    sg_status status; /* of sink->idle */
} waiting_text;

/* After a failure of the sink the text is at its end: the status says why. */
static ssize_t read_text(void *cookie, char *to, size_t size)
{
    waiting_text *t = cookie;
    struct pollfd ready = {.fd = t->fd, .events = POLLIN};
    if (poll(&ready, 1, 0) == 0 && t->status == SG_OK)
        t->status = t->sink->idle(t->sink->context);
    if (t->status != SG_OK)
        return 0;
    ssize_t n;
    do
        n = read(t->fd, to, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/* ---- one dialog per line ---- */

/* Cells after the last message that are empty make a table rectangular. */
static sg_status give_line(const sg_table_reader *reader, const char *file, const sg_dialog_sink *sink)
{
    char line[32];
    int length = reader->cells;
    while (length > 0 && !reader->cell[length - 1][0])
        length--;
    snprintf(line, sizeof line, "%" PRId64, reader->line);
    const sg_source_dialog dialog = {file, line, (const char *const *)reader->cell, length, reader->fault};
    return sink->dialog(sink->context, &dialog);
}

static sg_status read_lines(sg_table_reader *reader, waiting_text *text, const char *file)
{
    bool more = true;
    while (more) {
        SG_TRY(give_line(reader, file, text->sink));
        sg_status status = sg_table_next(reader, &more);
        SG_TRY(text->status);
        if (status != SG_OK)
            return sg_fail_prefix(status, "%s", file);
    }
    return SG_OK;
}

/* ---- corpora, and messages, one a line ---- */

static sg_status give_class(const sg_corpus *corpus, int64_t d, const char *file, const char **name,
                            const sg_dialog_sink *sink)
{
    const size_t j = (size_t)corpus->label[d];
    const uint16_t *types = corpus->class_sequence + j * (size_t)corpus->max_length;
    char number[32];
    for (int t = 0; t < corpus->class_length[j]; t++)
        name[t] = corpus->alphabet[types[t] - 1];
    snprintf(number, sizeof number, "%" PRId64, d);
    const bool has_id = corpus->call_id && corpus->call_id[d] && corpus->call_id[d][0];
    const sg_source_dialog dialog = {file, has_id ? corpus->call_id[d] : number, name,
                                     corpus->class_length[j], NULL};
    return sink->dialog(sink->context, &dialog);
}

static sg_status give_corpus(const sg_corpus *corpus, const char *file, const sg_dialog_sink *sink)
{
    const char **name;
    sg_status status = SG_OK;
    SG_TRY(sg_alloc(&name, corpus->max_length, "a dialog"));
    for (int64_t d = 0; d < corpus->dialogs && status == SG_OK; d++)
        status = give_class(corpus, d, file, name, sink);
    free(name);
    return status;
}

static void warn_of_skipped(const sg_import_report *r, const char *file)
{
    for (int k = 0; k < SG_SKIP_REASONS; k++)
        if (r->skipped[k])
            sg_warn("%s: %" PRId64 " records skipped (%s), the first is %s", file, r->skipped[k],
                    sg_skip_reason_text(k), r->first_skipped[k]);
    if (r->cut)
        sg_warn("%s: %" PRId64 " dialogs were cut to %d messages", file, r->cut, SG_LENGTH_MAX);
}

static sg_import_options import_options(const sg_dialog_source_options *options)
{
    return (sg_import_options){
        .columns = options->columns, .types_max = SG_MESSAGE_TYPES_MAX, .min_length = 1, .any_names = true};
}

sg_status sg_dialog_source_check(const sg_dialog_source_options *options)
{
    const sg_import_options o = import_options(options);
    sg_import *import;
    SG_TRY(sg_import_open(&import, &o));
    sg_import_close(import);
    return SG_OK;
}

/* Grouped into dialogs by Call-ID and ordered by time, as `corpus import` does. */
static sg_status read_messages(sg_table_reader *reader, waiting_text *text, const char *file,
                               const sg_dialog_source_options *options)
{
    const sg_import_options o = import_options(options);
    sg_import *import;
    sg_import_report report;
    sg_corpus corpus;
    SG_TRY(sg_import_open(&import, &o));
    sg_status status = sg_import_read_from(import, reader, file);
    if (status == SG_OK && (status = sg_import_finish(import, &corpus, &report)) != SG_OK)
        status = sg_fail_prefix(status, "%s", file);
    sg_import_close(import);
    SG_TRY(text->status);
    SG_TRY(status);
    warn_of_skipped(&report, file);
    status = give_corpus(&corpus, file, text->sink);
    sg_corpus_free(&corpus);
    return status;
}

/* ---- files ---- */

static sg_status read_table(sg_table_reader *reader, waiting_text *text, const char *file,
                            const sg_dialog_source_options *options)
{
    bool more;
    sg_status status = sg_table_next(reader, &more);
    SG_TRY(text->status);
    if (status != SG_OK)
        return sg_fail_prefix(status, "%s", file);
    if (!more)
        return SG_OK;
    if (strncmp(reader->excerpt, "\x89HDF", 4) == 0 || strncmp(reader->excerpt, "\x89SIPH", 5) == 0)
        return sg_fail(SG_E_FORMAT, "%s: a corpus cannot be read from a pipe", file);
    if (options->columns || sg_import_is_header(reader->cell, reader->cells))
        return read_messages(reader, text, file, options);
    return read_lines(reader, text, file);
}

/* Takes the descriptor over. */
static sg_status read_stream(int fd, const char *file, const sg_dialog_source_options *options,
                             const sg_dialog_sink *sink)
{
    waiting_text text = {fd, sink, SG_OK};
    const cookie_io_functions_t functions = {.read = read_text};
    FILE *in = fopencookie(&text, "r", functions);
    if (!in)
        return sg_fail(SG_E_MEMORY, "%s: out of memory", file);
    setvbuf(in, NULL, _IOFBF, 1 << 16);
    sg_table_reader reader;
    sg_table_open(&reader, in, options->separator);
    sg_status status = read_table(&reader, &text, file, options);
    sg_table_close(&reader);
    fclose(in);
    return status;
}

static sg_status read_corpus(const char *path, const sg_dialog_sink *sink)
{
    sg_corpus corpus;
    SG_TRY(sg_corpus_read(&corpus, path));
    sg_status status = give_corpus(&corpus, path, sink);
    sg_corpus_free(&corpus);
    return status;
}

/* Whether a file that can be read anew begins as HDF5 does. */
static bool is_hdf5(int fd)
{
    char start[SG_H5_START];
    return pread(fd, start, sizeof start, 0) == (ssize_t)sizeof start && sg_h5_is_start(start);
}

sg_status sg_dialogs_read(const char *path, const sg_dialog_source_options *options,
                          const sg_dialog_sink *sink)
{
    if (strcmp(path, "-") == 0)
        return read_stream(STDIN_FILENO, "-", options, sink);
    SG_TRY(sg_file_check_readable(path));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sg_fail(SG_E_IO, "%s: %s", path, strerror(errno));
    sg_status status = is_hdf5(fd) ? read_corpus(path, sink) : read_stream(fd, path, options, sink);
    close(fd);
    return status;
}

uint16_t sg_dialog_source_type(const sg_alphabet *alphabet, const char *cell)
{
    char plain[33];
    uint16_t id = sg_alphabet_id_of_name(alphabet, cell);
    if (id && strcmp(sg_alphabet_name(alphabet, id), cell) == 0)
        return id;
    return sg_parse_message(cell, plain) ? sg_alphabet_id_of_name(alphabet, plain) : id;
}
