#include "corpus/corpus.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

void sg_corpus_free(sg_corpus *corpus)
{
    for (int m = 0; corpus->alphabet && m < corpus->message_types; m++)
        free(corpus->alphabet[m]);
    for (int64_t d = 0; corpus->call_id && d < corpus->dialogs; d++)
        free(corpus->call_id[d]);
    free(corpus->alphabet);
    free(corpus->call_id);
    free(corpus->label);
    free(corpus->user_agent);
    free(corpus->start_time);
    free(corpus->class_sequence);
    free(corpus->class_length);
    free(corpus->class_count);
    free(corpus->split);
    memset(corpus, 0, sizeof *corpus);
}

sg_status sg_corpus_rows(const sg_corpus *corpus, sg_split split, int64_t **rows, int64_t *count)
{
    int64_t n = 0;
    for (int64_t d = 0; d < corpus->dialogs; d++)
        n += corpus->split[d] == split;
    SG_TRY(sg_alloc(rows, n, "rows of a split"));
    *count = n;
    n = 0;
    for (int64_t d = 0; d < corpus->dialogs; d++)
        if (corpus->split[d] == split)
            (*rows)[n++] = d;
    return SG_OK;
}

void sg_corpus_digest(sg_corpus *corpus)
{
    XXH3_state_t state;
    size_t classes = (size_t)corpus->classes, dialogs = (size_t)corpus->dialogs;
    int64_t sizes[4] = {corpus->message_types, corpus->max_length, corpus->classes, corpus->dialogs};
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, sizes, sizeof sizes);
    for (int m = 0; m < corpus->message_types; m++)
        XXH3_128bits_update(&state, corpus->alphabet[m], strlen(corpus->alphabet[m]) + 1);
    XXH3_128bits_update(&state, corpus->class_sequence,
                        classes * (size_t)corpus->max_length * sizeof *corpus->class_sequence);
    XXH3_128bits_update(&state, corpus->label, dialogs * sizeof *corpus->label);
    XXH3_128bits_update(&state, corpus->split, dialogs);
    XXH128_hash_t h = XXH3_128bits_digest(&state);
    snprintf(corpus->digest, sizeof corpus->digest, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
}

const char *sg_split_name(sg_split split)
{
    static const char *const names[SG_SPLITS] = {"train", "validation", "test"};
    return split < SG_SPLITS ? names[split] : "?";
}
