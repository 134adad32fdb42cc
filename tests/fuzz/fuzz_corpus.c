/* A corpus file whose contents are anything (h5_files.h).  What is accepted holds together, and is the same
 * after it was written again. */
#include "h5_files.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const objects[] = {"/",
                                      "/alphabet",
                                      "/dialogs",
                                      "/dialogs/sequence",
                                      "/dialogs/length",
                                      "/dialogs/label",
                                      "/dialogs/user_agent",
                                      "/dialogs/start_time",
                                      "/dialogs/call_id",
                                      "/classes",
                                      "/classes/sequence",
                                      "/classes/length",
                                      "/classes/count",
                                      "/split"};
static fuzz_file file, copy;

static void check(const sg_corpus *c)
{
    int64_t dialogs = 0;
    fuzz_expect(c->message_types > 0 && c->max_length > 0 && c->classes > 0 && c->dialogs > 0);
    for (int k = 0; k < c->classes; k++) {
        const uint16_t *row = c->class_sequence + (size_t)k * (size_t)c->max_length;
        fuzz_expect(c->class_length[k] >= 1 && c->class_length[k] <= c->max_length);
        for (int t = 0; t < c->max_length; t++)
            fuzz_expect(row[t] <= c->message_types && (row[t] != 0) == (t < c->class_length[k]));
        dialogs += c->class_count[k];
    }
    fuzz_expect(dialogs == c->dialogs);
    for (int64_t d = 0; d < c->dialogs; d++) {
        fuzz_expect(c->label[d] >= 0 && c->label[d] < c->classes && c->split[d] < SG_SPLITS);
        fuzz_expect(c->user_agent[d] >= 0 && isfinite(c->start_time[d]));
        fuzz_expect(!c->call_id || strlen(c->call_id[d]) > 0);
    }
}

static void check_again(const sg_corpus *corpus)
{
    sg_corpus again;
    fuzz_expect(sg_corpus_write(corpus, copy.path, "fuzz") == SG_OK);
    fuzz_expect(sg_corpus_read(&again, copy.path) == SG_OK);
    fuzz_expect(strcmp(corpus->digest, again.digest) == 0);
    sg_corpus_free(&again);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    sg_corpus corpus;
    (void)argc;
    (void)argv;
    fuzz_file_open(&file);
    fuzz_file_open(&copy);
    fuzz_small_corpus(&corpus);
    fuzz_expect(sg_corpus_write(&corpus, file.path, "fuzz") == SG_OK);
    fuzz_file_keep(&file);
    fuzz_expect(sg_corpus_read(&corpus, file.path) == SG_OK);
    sg_corpus_free(&corpus);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sg_corpus corpus;
    fuzz_file_edit(&file, objects, sizeof objects / sizeof *objects, data, size);
    if (sg_corpus_read(&corpus, file.path) != SG_OK) {
        fuzz_expect(sg_error_text()[0] != '\0');
        return 0;
    }
    check(&corpus);
    if (fuzz_one_in(8, data, size))
        check_again(&corpus);
    sg_corpus_free(&corpus);
    return 0;
}
