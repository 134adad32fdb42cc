#include "sipdetect/sipm_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a .sipm file is read in place, which needs a little-endian processor"
#endif
_Static_assert(sizeof(size_t) == 8, "section sizes need 64 bits");
_Static_assert(sizeof(sd_header) == 32 && sizeof(sd_entry) == 24, "as the file has them");
_Static_assert(sizeof(sd_spec) == 120 && sizeof(sd_node_score) == 24, "as the file has them");
_Static_assert(sizeof SD_MAGIC == 9, "eight bytes and NUL");

const char *sd_section_name(int id)
{
    static const char *const names[SD_SECTIONS] = {
        [SD_SPEC] = "SPEC",
        [SD_ALPHABET] = "ALPHABET",
        [SD_PROVENANCE] = "PROVENANCE",
        [SD_CLASS_START] = "CLASS_START",
        [SD_CLASS_TYPES] = "CLASS_TYPES",
        [SD_CLASS_TRAIN] = "CLASS_TRAIN",
        [SD_TRIE_FIRST] = "TRIE_FIRST",
        [SD_TRIE_TYPE] = "TRIE_TYPE",
        [SD_TRIE_ENDING] = "TRIE_ENDING",
        [SD_TRIE_PASSING] = "TRIE_PASSING",
        [SD_TRIE_SCORE] = "TRIE_SCORE",
        [SD_LIMITS] = "LIMITS",
        [SD_PREFIX_LIMITS] = "PREFIX_LIMITS",
        [SD_CENTROIDS] = "CENTROIDS",
        [SD_INPUT] = "INPUT",
        [SD_BIAS_0] = "BIAS_0",
        [SD_RECURRENT_0] = "RECURRENT_0",
        [SD_RECURRENT_0_SCALE] = "RECURRENT_0_SCALE",
        [SD_RECURRENT_0_SUMS] = "RECURRENT_0_SUMS",
        [SD_KERNEL_1] = "KERNEL_1",
        [SD_KERNEL_1_SCALE] = "KERNEL_1_SCALE",
        [SD_KERNEL_1_SUMS] = "KERNEL_1_SUMS",
        [SD_BIAS_1] = "BIAS_1",
        [SD_RECURRENT_1] = "RECURRENT_1",
        [SD_RECURRENT_1_SCALE] = "RECURRENT_1_SCALE",
        [SD_RECURRENT_1_SUMS] = "RECURRENT_1_SUMS",
        [SD_DENSE] = "DENSE",
        [SD_DENSE_SCALE] = "DENSE_SCALE",
        [SD_DENSE_SUMS] = "DENSE_SUMS",
        [SD_DENSE_BIAS] = "DENSE_BIAS",
    };
    return id > 0 && id < SD_SECTIONS ? names[id] : "?";
}

static sg_status check_range(const char *what, uint64_t value, uint64_t min, uint64_t max)
{
    if (value < min || value > max)
        return sg_fail(SG_E_FORMAT, "%s = %llu: must be from %llu to %llu", what, (unsigned long long)value,
                       (unsigned long long)min, (unsigned long long)max);
    return SG_OK;
}

sg_status sd_spec_check(const sd_spec *s)
{
    SG_TRY(check_range("message types", s->message_types, 1, SD_TYPES_MAX));
    SG_TRY(check_range("longest dialog", s->max_length, 1, SD_LENGTH_MAX));
    SG_TRY(check_range("units", s->units, 1, SD_UNITS_MAX));
    /* The skewness of fewer than three outputs has no maximum to divide by. */
    SG_TRY(check_range("classes", s->classes, 3, SD_CLASSES_MAX));
    SG_TRY(check_range("layers", s->layers, 1, SD_LAYERS_MAX));
    SG_TRY(check_range("padding", s->padding, SD_PAD_POST, SD_PAD_PRE));
    SG_TRY(check_range("precision", s->precision, SD_FP32, SD_PRECISIONS - 1));
    SG_TRY(check_range("type rule", s->type_rule, 0, 1));
    SG_TRY(check_range("collapsed", s->collapsed, 0, 1));
    SG_TRY(check_range("optional sections", s->has, 0, SD_HAS_ALL));
    SG_TRY(check_range("beginnings of train dialogs", s->nodes, 2, INT32_MAX));
    SG_TRY(check_range("messages of all classes", s->class_messages, s->classes, UINT32_MAX));
    SG_TRY(check_range("bytes of the alphabet", s->alphabet_bytes, 2 * (uint64_t)s->message_types,
                       33 * (uint64_t)s->message_types));
    SG_TRY(check_range("bytes of the provenance", s->provenance_bytes, 1, SD_TEXT_MAX));
    uint64_t other = s->zero;
    for (size_t i = 0; i < sizeof s->zeros / sizeof *s->zeros; i++)
        other |= s->zeros[i];
    return check_range("fields without meaning", other, 0, 0);
}

/* The three sections of a packed matrix. */
static void size_matrix(uint64_t *bytes, int precision, uint64_t rows, uint64_t columns)
{
    bytes[0] = sd_matrix_bytes((sd_precision)precision, (int)rows, (int)columns);
    bytes[1] = bytes[2] = precision == SD_INT8 ? columns * 4 : 0;
}

void sd_sizes(const sd_spec *s, uint64_t bytes[SD_SECTIONS])
{
    const uint64_t units = sd_round_up(s->units, 16), gates = 4 * units,
                   outputs = sd_round_up(s->classes, 64);
    const int precision = (int)s->precision;
    for (int id = 0; id < SD_SECTIONS; id++)
        bytes[id] = 0;
    bytes[SD_SPEC] = sizeof(sd_spec);
    bytes[SD_ALPHABET] = s->alphabet_bytes;
    bytes[SD_PROVENANCE] = s->provenance_bytes;
    bytes[SD_CLASS_START] = ((uint64_t)s->classes + 1) * 4;
    bytes[SD_CLASS_TYPES] = s->class_messages * 2;
    bytes[SD_CLASS_TRAIN] = (uint64_t)s->classes * 8;
    bytes[SD_TRIE_FIRST] = ((uint64_t)s->nodes + 1) * 4;
    bytes[SD_TRIE_TYPE] = (uint64_t)s->nodes * 2;
    bytes[SD_TRIE_ENDING] = bytes[SD_TRIE_PASSING] = (uint64_t)s->nodes * 8;
    bytes[SD_TRIE_SCORE] = (uint64_t)s->nodes * sizeof(sd_node_score);
    bytes[SD_LIMITS] = s->has & SD_HAS_LIMITS ? 2 * 8 : 0;
    bytes[SD_PREFIX_LIMITS] = s->has & SD_HAS_PREFIX_LIMITS ? (uint64_t)s->max_length * 2 * 8 : 0;
    bytes[SD_CENTROIDS] = s->has & SD_HAS_CENTROIDS ? 4 * 8 : 0;
    bytes[SD_INPUT] = s->message_types * gates * 4;
    bytes[SD_BIAS_0] = gates * 4;
    size_matrix(bytes + SD_RECURRENT_0, precision, units, gates);
    if (s->layers == 2) {
        size_matrix(bytes + SD_KERNEL_1, precision, units, gates);
        bytes[SD_BIAS_1] = gates * 4;
        size_matrix(bytes + SD_RECURRENT_1, precision, units, gates);
    }
    size_matrix(bytes + SD_DENSE, precision, units, outputs);
    bytes[SD_DENSE_BIAS] = outputs * 4;
}

int sd_table(const sd_spec *spec, sd_entry table[SD_SECTIONS], uint64_t *file_bytes)
{
    uint64_t bytes[SD_SECTIONS], end = sizeof(sd_header);
    int count = 0;
    sd_sizes(spec, bytes);
    for (int id = 1; id < SD_SECTIONS; id++)
        end += bytes[id] ? sizeof(sd_entry) : 0;
    for (int id = 1; id < SD_SECTIONS; id++) {
        if (!bytes[id])
            continue;
        end = sd_round_up(end, SD_ALIGNMENT);
        table[count++] = (sd_entry){(uint32_t)id, 0, end, bytes[id]};
        end += bytes[id];
    }
    if (file_bytes)
        *file_bytes = end;
    return count;
}

uint64_t sd_checksum(const void *file, size_t bytes)
{
    return XXH3_64bits((const char *)file + SD_CHECKSUM_FROM, bytes - SD_CHECKSUM_FROM);
}

static sd_matrix matrix_at(const void *const *section, int rows, int columns)
{
    return (sd_matrix){.rows = rows,
                       .columns = columns,
                       .data = section[0],
                       .scale = (const float *)section[1],
                       .sums = (const int32_t *)section[2]};
}

sd_network sd_network_at(const sd_spec *s, const void *const section[SD_SECTIONS])
{
    const int units = (int)sd_round_up(s->units, 16), outputs = (int)sd_round_up(s->classes, 64);
    sd_network n = {.precision = (sd_precision)s->precision,
                    .padding = (sd_padding)s->padding,
                    .message_types = (int)s->message_types,
                    .max_length = (int)s->max_length,
                    .units = (int)s->units,
                    .classes = (int)s->classes,
                    .layers = (int)s->layers,
                    .units_padded = units,
                    .classes_padded = outputs,
                    .input = (const float *)section[SD_INPUT],
                    .bias = {(const float *)section[SD_BIAS_0], (const float *)section[SD_BIAS_1]},
                    .dense = matrix_at(section + SD_DENSE, units, outputs),
                    .dense_bias = (const float *)section[SD_DENSE_BIAS]};
    n.recurrent[0] = matrix_at(section + SD_RECURRENT_0, units, 4 * units);
    if (n.layers == 2) {
        n.kernel = matrix_at(section + SD_KERNEL_1, units, 4 * units);
        n.recurrent[1] = matrix_at(section + SD_RECURRENT_1, units, 4 * units);
    }
    return n;
}
