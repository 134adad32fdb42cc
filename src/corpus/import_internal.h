/* import_internal.h: what import.c and import_build.c share. */
#ifndef SG_CORPUS_IMPORT_INTERNAL_H
#define SG_CORPUS_IMPORT_INTERNAL_H

#include "corpus/import.h"
#include "corpus/text_set.h"

typedef struct {
    int64_t time; /* nanoseconds */
    int32_t dialog, type;
} sg_import_message;

typedef struct {
    int64_t first_time, messages;
    int32_t user_agent; /* the `from` of the earliest message */
} sg_import_dialog;

struct sg_import {
    sg_import_options options;
    sg_import_report report;
    sg_text_set call_ids, user_agents, types, wanted; /* wanted: options.alphabet */
    sg_import_message *messages;
    sg_import_dialog *dialogs; /* one for each of call_ids */
    int64_t count;
    size_t messages_capacity, dialogs_capacity;
};

#endif
