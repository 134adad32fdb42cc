/* check.c: checks the contents of a .sipm file. */
#include "sipdetect/file.h"

#include <math.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static sg_status bad(int id, const char *what)
{
    return sg_fail(SG_E_FORMAT, "section %s: %s", sd_section_name(id), what);
}

sg_status sd_damaged(void)
{
    return sg_fail(SG_E_FORMAT, "the checksum is wrong: the file is damaged");
}

static sg_status check_provenance(const sd_file *f)
{
    const char *nul = memchr(f->provenance, '\0', f->spec->provenance_bytes);
    return nul == f->provenance + f->spec->provenance_bytes - 1
               ? SG_OK
               : bad(SD_PROVENANCE, "is not text that ends where the section does");
}

static sg_status check_classes(const sd_file *f)
{
    const uint32_t classes = f->spec->classes, longest = f->spec->max_length;
    const uint32_t *start = f->class_start;
    if (start[0] != 0 || start[classes] != f->spec->class_messages)
        return bad(SD_CLASS_START, "does not cover the dialogs");
    for (uint32_t c = 0; c < classes; c++) {
        if (start[c + 1] <= start[c] || start[c + 1] - start[c] > longest)
            return bad(SD_CLASS_START, "a dialog without messages, or longer than the longest");
        if (f->class_train[c] > SD_TRAIN_MAX)
            return bad(SD_CLASS_TRAIN, "a count is out of range");
    }
    for (uint64_t i = 0; i < f->spec->class_messages; i++)
        if (f->class_types[i] < 1 || f->class_types[i] > f->spec->message_types)
            return bad(SD_CLASS_TYPES, "an id is not in the alphabet");
    return SG_OK;
}

/* Level by level: each begins where the one before ends, so every node but the root has one parent, of a
 * lower number. */
static sg_status check_levels(const sd_file *f)
{
    const uint32_t nodes = f->trie.nodes, *first = f->trie.first;
    uint32_t end = 1;
    if (first[0] != 1 || first[nodes] != nodes)
        return bad(SD_TRIE_FIRST, "does not cover the nodes");
    for (uint32_t n = 0; n < nodes; n++)
        if (first[n + 1] < first[n] || first[n + 1] > nodes)
            return bad(SD_TRIE_FIRST, "falls");
    for (uint32_t depth = 0; end < nodes; depth++) {
        if (first[end] <= end || depth >= f->spec->max_length)
            return bad(SD_TRIE_FIRST, "is not a trie as deep as the longest dialog");
        end = first[end];
    }
    return SG_OK;
}

/* The children of one node, fewer than 2^16 with counts of at most SD_TRAIN_MAX: no sum overflows. */
static sg_status check_children(const sd_file *f, uint32_t node)
{
    const sd_trie *t = &f->trie;
    uint64_t passing = t->ending[node];
    for (uint32_t child = t->first[node]; child < t->first[node + 1]; child++) {
        const uint16_t least = child > t->first[node] ? (uint16_t)(t->type[child - 1] + 1) : 1;
        if (t->type[child] < least || t->type[child] > f->spec->message_types)
            return bad(SD_TRIE_TYPE, "ids of a node's children do not rise within the alphabet");
        passing += t->passing[child];
    }
    return passing == t->passing[node] ? SG_OK : bad(SD_TRIE_PASSING, "does not add up");
}

static sg_status check_trie(const sd_file *f)
{
    SG_TRY(check_levels(f));
    if (f->trie.type[0] != 0)
        return bad(SD_TRIE_TYPE, "the root has one");
    for (uint32_t n = 0; n < f->trie.nodes; n++)
        if (f->trie.passing[n] < 1 || f->trie.passing[n] > SD_TRAIN_MAX || f->trie.ending[n] > SD_TRAIN_MAX)
            return bad(SD_TRIE_PASSING, "a count is out of range");
    for (uint32_t n = 0; n < f->trie.nodes; n++)
        SG_TRY(check_children(f, n));
    for (uint32_t n = 0; n < f->trie.nodes; n++) {
        const sd_node_score *s = &f->trie.score[n];
        if (!isfinite(s->skewness) || !isfinite(s->kurtosis) || !(s->probability >= 0) ||
            s->probability > 1 || s->best_class < 0 || (uint32_t)s->best_class >= f->spec->classes)
            return bad(SD_TRIE_SCORE, "a score is out of range");
    }
    return SG_OK;
}

static sg_status check_doubles(int id, const double *values, size_t count)
{
    for (size_t i = 0; values && i < count; i++)
        if (!isfinite(values[i]))
            return bad(id, "a number is not finite");
    return SG_OK;
}

/* ---- weights ---- */

/* Infinities and NaNs have all bits of the exponent, so adding one to it carries into the sign's place; the
 * loops are simple enough for compilers to vectorise on any processor. */
static bool finite_floats(const void *values, size_t count)
{
    const uint32_t *bits = values;
    uint32_t carried = 0;
    for (size_t i = 0; i < count; i++)
        carried |= (bits[i] & 0x7f800000u) + 0x00800000u;
    return !(carried & 0x80000000u);
}

static bool finite_bf16(const void *values, size_t count)
{
    const uint32_t *bits = values; /* two a word */
    uint32_t carried = 0;
    for (size_t i = 0; i < count / 2; i++)
        carried |= ((bits[i] & 0x7f807f80u) + 0x00800080u);
    return !(carried & 0x80008000u);
}

/* Whether part of a section is finite, if it holds numbers. */
static bool finite_piece(const sd_file *f, int id, const void *piece, size_t bytes)
{
    switch (id) {
    case SD_RECURRENT_0:
    case SD_KERNEL_1:
    case SD_RECURRENT_1:
    case SD_DENSE:
        if (f->spec->precision == SD_BF16)
            return finite_bf16(piece, bytes / 2);
        return f->spec->precision == SD_INT8 || finite_floats(piece, bytes / 4);
    case SD_INPUT:
    case SD_BIAS_0:
    case SD_BIAS_1:
    case SD_DENSE_BIAS:
    case SD_RECURRENT_0_SCALE:
    case SD_KERNEL_1_SCALE:
    case SD_RECURRENT_1_SCALE:
    case SD_DENSE_SCALE:
        return finite_floats(piece, bytes / 4);
    default:
        return true;
    }
}

sg_status sd_file_check_bytes(const sd_file *f)
{
    enum { PIECE = 1 << 16 }; /* what fits a processor's second-level cache */
    const sd_header *header = f->data;
    const sd_entry *table = (const sd_entry *)(header + 1);
    const char *data = f->data;
    size_t done = SD_CHECKSUM_FROM;
    int faulty = 0;
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (uint32_t i = 0; i < header->sections; i++) {
        const uint64_t end = table[i].offset + table[i].bytes;
        for (uint64_t at = table[i].offset, next; at < end; at = next) {
            next = end - at > PIECE ? at + PIECE : end;
            XXH3_64bits_update(&state, data + done, next - done);
            done = next;
            if (!finite_piece(f, (int)table[i].id, data + at, next - at))
                faulty = (int)table[i].id;
        }
    }
    if (XXH3_64bits_digest(&state) != header->checksum)
        return sd_damaged();
    return faulty ? bad(faulty, "a number is not finite") : SG_OK;
}

/* A sum of a column of int8 is bounded, and with it what it is multiplied with. */
static sg_status check_sums(const sd_file *f)
{
    static const int ids[] = {SD_RECURRENT_0_SUMS, SD_KERNEL_1_SUMS, SD_RECURRENT_1_SUMS, SD_DENSE_SUMS};
    const int64_t most = 128 * (int64_t)f->network.units_padded;
    uint64_t bytes[SD_SECTIONS];
    sd_sizes(f->spec, bytes);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const int32_t *sums = f->section[ids[i]];
        for (size_t c = 0; sums && c < bytes[ids[i]] / sizeof *sums; c++)
            if (sums[c] < -most || sums[c] > most)
                return bad(ids[i], "a sum is out of range");
    }
    return SG_OK;
}

sg_status sd_file_check(const sd_file *f)
{
    SG_TRY(check_provenance(f));
    SG_TRY(check_classes(f));
    SG_TRY(check_trie(f));
    SG_TRY(check_doubles(SD_LIMITS, f->limits, 2));
    SG_TRY(check_doubles(SD_PREFIX_LIMITS, f->section[SD_PREFIX_LIMITS], 2 * (size_t)f->spec->max_length));
    SG_TRY(check_doubles(SD_CENTROIDS, f->section[SD_CENTROIDS], 4));
    return check_sums(f);
}
