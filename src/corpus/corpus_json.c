#include "corpus/corpus_json.h"

#include <inttypes.h>
#include <stdio.h>

/* cJSON's numbers are doubles: whole ones go in as text, so that none is rounded. */
static void add_whole(cJSON *object, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    cJSON_AddRawToObject(object, name, text);
}

static void add_bins(cJSON *root, const char *name, const sg_histogram_bin *bins, int count)
{
    cJSON *array = cJSON_AddArrayToObject(root, name);
    for (int b = 0; b < count; b++) {
        cJSON *bin = cJSON_CreateObject();
        add_whole(bin, "from", bins[b].from);
        add_whole(bin, "to", bins[b].to);
        add_whole(bin, "classes", bins[b].classes);
        add_whole(bin, "dialogs", bins[b].dialogs);
        cJSON_AddItemToArray(array, bin);
    }
}

static void add_counts(cJSON *root, const sg_corpus *corpus, const sg_corpus_statistics *s)
{
    add_whole(root, "dialogs", corpus->dialogs);
    add_whole(root, "user_agents", s->user_agents);
    add_whole(root, "unique", corpus->classes);
    add_whole(root, "once", s->once);
    add_whole(root, "message_types", corpus->message_types);
    add_whole(root, "message_types_used", s->types_used);
    add_whole(root, "messages", s->messages);
    add_whole(root, "max_length", corpus->max_length);
    cJSON *length = cJSON_AddObjectToObject(root, "length");
    add_whole(length, "shortest", s->shortest);
    add_whole(length, "longest", s->longest);
    cJSON_AddNumberToObject(length, "median", s->median_length);
    cJSON_AddNumberToObject(length, "mean", s->mean_length);
}

static void add_split(cJSON *root, const sg_corpus *corpus, const sg_corpus_statistics *s)
{
    char seed[32];
    cJSON *split = cJSON_AddObjectToObject(root, "split");
    snprintf(seed, sizeof seed, "%" PRIu64, corpus->split_seed);
    cJSON_AddRawToObject(split, "seed", seed);
    for (int k = 0; k < SG_SPLITS; k++) {
        const sg_split_statistics *p = &s->split[k];
        cJSON *part = cJSON_AddObjectToObject(split, sg_split_name(k));
        double share = p->dialogs ? (double)p->unseen / (double)p->dialogs : 0;
        add_whole(part, "dialogs", p->dialogs);
        add_whole(part, "classes", p->classes);
        add_whole(part, "unseen", p->unseen);
        cJSON_AddNumberToObject(part, "unseen_share", share);
        cJSON_AddNumberToObject(part, "ceiling", 1 - share);
    }
}

static void add_types_and_batch(cJSON *root, const sg_corpus *corpus, const sg_corpus_statistics *s)
{
    cJSON *types = cJSON_AddArrayToObject(root, "alphabet");
    for (int m = 0; m < corpus->message_types; m++) {
        cJSON *type = cJSON_CreateObject();
        cJSON_AddStringToObject(type, "name", corpus->alphabet[m]);
        add_whole(type, "messages", s->type_messages[m]);
        cJSON_AddItemToArray(types, type);
    }
    cJSON *batch = cJSON_AddObjectToObject(root, "batch");
    add_whole(batch, "rows", s->batch.rows);
    add_whole(batch, "row_steps", s->batch.row_steps);
    cJSON_AddNumberToObject(batch, "unique", s->batch.unique);
    cJSON_AddNumberToObject(batch, "nodes", s->batch.nodes);
    cJSON_AddNumberToObject(batch, "factor", s->batch.factor);
}

cJSON *sg_corpus_json(const char *path, const sg_corpus *corpus, const sg_corpus_statistics *statistics)
{
    const sg_corpus_statistics *s = statistics;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "corpus", path);
    cJSON_AddStringToObject(root, "source", corpus->source);
    cJSON_AddStringToObject(root, "digest", corpus->digest);
    add_counts(root, corpus, s);
    add_split(root, corpus, s);
    add_types_and_batch(root, corpus, s);
    add_bins(root, "lengths", s->length, s->length_bins);
    add_bins(root, "multiplicities", s->multiplicity, s->multiplicity_bins);
    return root;
}
