/* file.h: a .sipm file in memory: mapped, checked, and as pointers to its parts. */
#ifndef SD_FILE_H
#define SD_FILE_H

#include "sip/alphabet.h"
#include "sipdetect/trie.h"

typedef struct {
    const void *data;
    size_t bytes;
    bool mapped; /* by sd_file_map */

    const sd_spec *spec;
    const void *section[SD_SECTIONS]; /* by id; NULL where the file has none */
    sg_alphabet *alphabet;            /* built from ALPHABET; the one thing that is copied */
    const char *provenance;
    const uint32_t *class_start;      /* [N + 1] */
    const uint16_t *class_types;      /* [class_start[N]] */
    const uint64_t *class_train;      /* [N] */
    const double *limits;             /* [skewness, kurtosis], or NULL, as are the next two */
    const double (*prefix_limits)[2]; /* [L] */
    const double (*centroids)[2];     /* [low, high] */
    sd_trie trie;
    sd_network network;
} sd_file;

/* Maps the file at `path` and checks all of it; SG_E_IO, or SG_E_FORMAT with what is wrong.  The file must
 * not be changed in place while it is mapped; replace it with another instead. */
sg_status sd_file_map(sd_file *file, const char *path);

/* The same for bytes in memory, aligned to 64, which must stay there. */
sg_status sd_file_take(sd_file *file, const void *data, size_t bytes);

void sd_file_close(sd_file *file);

/* ---- check.c ---- */

/* Whether the checksum is right, and all weights finite; in one pass, because fetching them from memory is
 * what takes the time.  For a file whose spec and table of sections are sound. */
sg_status sd_file_check_bytes(const sd_file *file);

/* Whether the contents of all other sections are sound: what is used as an index lies in its range, the trie
 * is one, every number is finite.  Afterwards nothing computed from the file can access memory out of
 * bounds. */
sg_status sd_file_check(const sd_file *file);

/* SG_E_FORMAT: the checksum is wrong. */
sg_status sd_damaged(void);

#endif
