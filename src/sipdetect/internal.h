/* internal.h: what the files of the library share. */
#ifndef SD_INTERNAL_H
#define SD_INTERNAL_H

#include "sipdetect/file.h"
#include "sipgpu/sipdetect.h"

struct sipdetect_model {
    sd_file file;
    const sd_kernels *kernels;
};

struct sipdetect_dialog {
    const sipdetect_model *model;
    int32_t position; /* messages with a type; all of them, also where only the first L are kept */
    int32_t node;     /* in the trie; -1: outside */
    bool untyped, scored;
    sd_score score;   /* if scored: what the network said of the dialog as it is now */
    uint16_t types[]; /* [L] */
};

struct sipdetect_worker {
    const sipdetect_model *model;
    sipdetect_worker_options options;
    size_t bytes;
    int items;         /* dialogs looked at in one go */
    uint32_t mask;     /* slots - 1 */
    void *room;        /* the network's, for options.batch sequences */
    uint16_t *types;   /* [batch, L] unique sequences for the network */
    uint16_t *lengths; /* [batch] */
    sd_score *scores;  /* [batch] */
    int32_t *row_of;   /* [items] which of them an item is; -1: none */
    uint32_t *slots;   /* [mask + 1] of a hash table of the sequences: row + 1; 0 is empty */
};

/* The public status for an internal one, whose text is kept (base/status.h). */
sipdetect_status sd_public(sg_status status);

/* ---- dialog.c, verdict.c ---- */

/* A dialog, or a sequence given as such, that is to be judged. */
typedef struct {
    const uint16_t *types;
    int32_t position, node;
    bool untyped;
    sipdetect_dialog *dialog; /* where a score is kept, or NULL */
} sd_case;

/* A dialog as a case. */
static inline sd_case sd_dialog_case(sipdetect_dialog *dialog)
{
    return (sd_case){dialog->types, dialog->position, dialog->node, dialog->untyped, dialog};
}

/* Whether a case can be scored at all, and whether the file holds the score. */
bool sd_can_score(const sd_file *file, const sd_case *c);
bool sd_is_in_file(const sd_case *c);

/* What the file says of a case that is there. */
sd_score sd_file_score(const sd_file *file, const sd_case *c);

/* The verdict; `score` NULL: not scored. */
void sd_judge(const sd_file *file, const sd_case *c, const sd_score *score, bool from_file,
              sipdetect_verdict *verdict);

/* The limits of a beginning of k messages (0: of a whole dialog), or NULL. */
const double *sd_limits(const sd_file *file, int k);

#endif
