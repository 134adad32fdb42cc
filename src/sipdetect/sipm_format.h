/* sipm_format.h: the .sipm file, version 1: a trained detector in the layout it has in memory.
 *
 * Little-endian throughout.  A file is a header, a table of sections and the sections:
 *
 *     0   sd_header     32 bytes
 *     32  sd_entry      24 bytes for each section, by rising id
 *         sections      each at the next multiple of 64, in the order of the table; zeros between
 *
 * The file ends with its last section.  `checksum` is XXH3 (64 bits, no seed) of all bytes from `version`
 * (offset 24) to the end.  Sizes are given only once, in the section SPEC: it alone decides which sections
 * there are and how large each is.  A reader computes the table from it (sd_sizes, sd_table) and refuses a
 * file whose table differs.  M, L, H and N are message types, longest dialog, units and classes, Hp and Np
 * are H and N rounded up to multiples of 16 and 64.
 *
 *   id  section           type              contents
 *    1  SPEC              sd_spec           sizes and conventions; the first section
 *    2  ALPHABET          text [M]          names of type ids 1..M, each ended by NUL; 1..32 bytes, all
 * different 3  PROVENANCE        text              lines "key = value", ended by one NUL 4  CLASS_START u32
 * [N + 1]       where the dialog of each class begins in CLASS_TYPES 5  CLASS_TYPES       u16 [...] type ids
 * of all classes' dialogs, 1..L each 6  CLASS_TRAIN       u64 [N]           dialogs of the train split 7
 * TRIE_FIRST        u32 [nodes + 1]   children of node n are first[n] .. first[n + 1] - 1 8  TRIE_TYPE u16
 * [nodes]       type id that leads to a node; 0 for the root 9  TRIE_ENDING       u64 [nodes]       train
 * dialogs that end at a node 10  TRIE_PASSING      u64 [nodes]       those and the ones that go on 11
 * TRIE_SCORE        sd_score [nodes]  what the network says of the beginning, padded; zeros for the root 12
 * LIMITS            f64 [2]           optional: lambda of skewness and kurtosis, for whole dialogs 13
 * PREFIX_LIMITS     f64 [L, 2]        optional: the same for dialogs that go on after k messages, row k-1 14
 * CENTROIDS         f64 [2, 2]        optional: K-means, low cluster first; columns skewness, kurtosis 15
 * INPUT             f32 [M, 4 Hp]     rows of layer 0's kernel 16  BIAS_0            f32 [4 Hp] 17
 * RECURRENT_0       packed [Hp, 4 Hp] 18  RECURRENT_0_SCALE f32 [4 Hp]        int8 only, as are SUMS 19
 * RECURRENT_0_SUMS  i32 [4 Hp] 20  KERNEL_1          packed [Hp, 4 Hp] two layers only, as is all to id 26 21
 * KERNEL_1_SCALE    f32 [4 Hp] 22  KERNEL_1_SUMS     i32 [4 Hp] 23  BIAS_1            f32 [4 Hp] 24
 * RECURRENT_1       packed [Hp, 4 Hp] 25  RECURRENT_1_SCALE f32 [4 Hp] 26  RECURRENT_1_SUMS  i32 [4 Hp] 27
 * DENSE             packed [Hp, Np] 28  DENSE_SCALE       f32 [Np] 29  DENSE_SUMS        i32 [Np] 30
 * DENSE_BIAS        f32 [Np]          0 beyond N
 *
 * Packed matrices and the order of the 4 Hp columns are network.h's.  Nodes of the trie are numbered level by
 * level, in a level by parent and then by type, from the root, 0; so the nodes of a level, and the children
 * of a node, are consecutive, and TRIE_FIRST never falls.  All numbers are finite, probabilities in 0..1.
 *
 * Nothing in a file depends on when, where or under which name it was made.
 */
#ifndef SD_SIPM_FORMAT_H
#define SD_SIPM_FORMAT_H

#include "base/status.h"
#include "sipdetect/network.h"

#define SD_MAGIC "\x89SIPM\r\n\x1a" /* eight bytes, without the NUL; a text-mode copy damages it */

enum { SD_VERSION = 1, SD_ALIGNMENT = 64, SD_CHECKSUM_FROM = 24 };

/* Bounds of a file's numbers; the model's own. */
enum { SD_TYPES_MAX = 65534, SD_LENGTH_MAX = 65535, SD_UNITS_MAX = 65536, SD_CLASSES_MAX = 1 << 26 };
#define SD_TRAIN_MAX ((uint64_t)1 << 47) /* dialogs of the train split; 2^16 such numbers can be added up */
#define SD_TEXT_MAX  ((uint64_t)1 << 24) /* bytes of the provenance */

typedef struct {
    char magic[8];
    uint64_t bytes; /* of the whole file */
    uint64_t checksum;
    uint32_t version;
    uint32_t sections; /* entries of the table */
} sd_header;

typedef struct {
    uint32_t id, zero;
    uint64_t offset, bytes;
} sd_entry;

/* Which optional sections there are. */
enum { SD_HAS_LIMITS = 1, SD_HAS_PREFIX_LIMITS = 2, SD_HAS_CENTROIDS = 4, SD_HAS_ALL = 7 };

typedef struct {
    uint32_t message_types, max_length, units, classes, layers; /* M, L, H, N, 1 or 2 */
    uint32_t padding;                                           /* sd_padding */
    uint32_t precision;                                         /* sd_precision */
    uint32_t type_rule;                                         /* 0 paper/1, 1 cseq/1 (sip/alphabet.h) */
    uint32_t collapsed; /* 1: trained on dialogs without retransmissions */
    uint32_t has;
    uint32_t nodes; /* of the trie, the root included; below 2^31 */
    uint32_t zero;
    uint64_t class_messages;                   /* entries of CLASS_TYPES */
    uint64_t alphabet_bytes, provenance_bytes; /* with their NULs */
    uint64_t zeros[6];
} sd_spec;

typedef struct {
    double skewness, kurtosis; /* normalised */
    float probability;
    int32_t best_class;
} sd_node_score;

typedef enum {
    SD_SPEC = 1,
    SD_ALPHABET,
    SD_PROVENANCE,
    SD_CLASS_START,
    SD_CLASS_TYPES,
    SD_CLASS_TRAIN,
    SD_TRIE_FIRST,
    SD_TRIE_TYPE,
    SD_TRIE_ENDING,
    SD_TRIE_PASSING,
    SD_TRIE_SCORE,
    SD_LIMITS,
    SD_PREFIX_LIMITS,
    SD_CENTROIDS,
    SD_INPUT,
    SD_BIAS_0,
    SD_RECURRENT_0,
    SD_RECURRENT_0_SCALE,
    SD_RECURRENT_0_SUMS,
    SD_KERNEL_1,
    SD_KERNEL_1_SCALE,
    SD_KERNEL_1_SUMS,
    SD_BIAS_1,
    SD_RECURRENT_1,
    SD_RECURRENT_1_SCALE,
    SD_RECURRENT_1_SUMS,
    SD_DENSE,
    SD_DENSE_SCALE,
    SD_DENSE_SUMS,
    SD_DENSE_BIAS,
    SD_SECTIONS
} sd_section;

/* "TRIE_TYPE", ...; for messages. */
const char *sd_section_name(int id);

static inline uint64_t sd_round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* SG_E_FORMAT names the first number out of range.  If all are in range, sizes are below 2^63. */
sg_status sd_spec_check(const sd_spec *spec);

/* Bytes of every section by id, 0 for those that the spec does not have. */
void sd_sizes(const sd_spec *spec, uint64_t bytes[SD_SECTIONS]);

/* The table of a file of this spec, entries by rising id; its length.  *file_bytes may be NULL. */
int sd_table(const sd_spec *spec, sd_entry table[SD_SECTIONS], uint64_t *file_bytes);

/* Checksum of a whole file in memory. */
uint64_t sd_checksum(const void *file, size_t bytes);

/* The shape of the network, its weights at `section` (pointers by id). */
sd_network sd_network_at(const sd_spec *spec, const void *const section[SD_SECTIONS]);

#endif
